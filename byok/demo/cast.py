"""Who is in the sample data: people, their habits, and what happens to them within the year."""

from dataclasses import dataclass
from typing import NamedTuple

from byok.accounts.plans import Plan

DAYS = 365
_OFFICE = (0, 0, 0, 0, 0, 1, 2, 5, 10, 13, 14, 12, 7, 10, 13, 12, 10, 7, 4, 3, 2, 2, 1, 0)
_EVENINGS = (3, 1, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 4, 3, 3, 4, 5, 6, 8, 10, 12, 12, 9, 6)
_AROUND_THE_CLOCK = (4,) * 24
_WEEK = (1.0, 1.1, 1.15, 1.05, 0.85, 0.15, 0.12)  # Monday first
_EVERY_DAY = (1.0,) * 7


@dataclass(frozen=True)
class Person:
    email: str
    name: str
    plan: Plan
    tz: str
    admin: bool = False


class Traits(NamedTuple):
    """How far the logarithms of lengths spread, and how uneven the minutes of an hour are (standard deviation over mean)."""

    prompt: float
    completion: float
    unevenness: float


CONVERSATION, CODE = Traits(0.93, 0.92, 0.21), Traits(1.36, 0.85, 0.78)


@dataclass(frozen=True)
class Series:
    """One habit: who calls what, how often (calls on a full working day), with how many tokens (medians), from and to which day.

    Days are counted from the day of the first fill.
    """

    email: str
    label: str
    vendor: str
    model: str
    calls: float
    prompt: int
    completion: int
    hours: tuple[int, ...] = _OFFICE
    week: tuple[float, ...] = _WEEK
    endpoint: str = "chat"
    cached: float = 0.0
    reasoning: float = 0.0
    growth: float = 1.0
    first_day: int = -DAYS
    last_day: int | None = None
    ms_per_token: float = 14.0
    traits: Traits = CONVERSATION


PEOPLE = (
    Person("ada@demo.example", "Ada", "enterprise", "Europe/Berlin", admin=True),
    Person("ben@demo.example", "Ben", "enterprise", "America/New_York"),
    Person("chen@demo.example", "Chen", "enterprise", "Asia/Shanghai"),
    Person("dora@demo.example", "Dora", "team", "Europe/Berlin"),
    Person("eli@demo.example", "Eli", "indie", "Asia/Kolkata"),
    Person("fay@demo.example", "Fay", "free", "America/New_York"),
)
SWITCH, DRAFTS = -118, -160
RUNAWAY = "nightly agent"
RUNAWAY_DAYS = (-87, -9)
SERIES = (
    Series("ada@demo.example", "support bot", "openai", "gpt-4o", 85, 1900, 320, cached=0.35, growth=1.8, last_day=SWITCH),
    Series("ada@demo.example", "support bot", "openai", "gpt-4o-mini", 110, 1900, 330, cached=0.35, growth=1.3, first_day=SWITCH),
    Series(
        "ada@demo.example", "writing", "anthropic", "claude-sonnet-4-5", 28, 3200, 900, endpoint="messages", growth=1.5, ms_per_token=19
    ),
    Series(
        "ada@demo.example", "side project", "gemini", "gemini-2.5-flash", 9, 900, 260, hours=_EVENINGS, week=_EVERY_DAY, endpoint="generate"
    ),
    Series(
        "ben@demo.example",
        "review",
        "anthropic",
        "claude-sonnet-4-5",
        45,
        5200,
        700,
        endpoint="messages",
        cached=0.6,
        growth=2.2,
        ms_per_token=19,
        traits=CODE,
    ),
    Series("ben@demo.example", "nightly agent", "openai", "gpt-4o", 14, 5200, 700, hours=_AROUND_THE_CLOCK, week=_EVERY_DAY),
    Series(
        "ben@demo.example",
        "review",
        "anthropic",
        "claude-haiku-4",
        60,
        1500,
        220,
        endpoint="messages",
        first_day=-210,
        ms_per_token=8,
        traits=CODE,
    ),
    Series("chen@demo.example", "research", "deepseek", "deepseek-v4-pro", 55, 2600, 1400, reasoning=0.55, growth=1.4, ms_per_token=30),
    Series("chen@demo.example", "drafts", "deepseek", "deepseek-v4-flash", 70, 3100, 420, first_day=DRAFTS, ms_per_token=7),
    Series("chen@demo.example", "research", "qwen", "qwen3-max", 32, 2100, 640, growth=0.8),
    Series("chen@demo.example", "translation", "minimax", "minimax-m3", 24, 1200, 1150, hours=_AROUND_THE_CLOCK, week=_EVERY_DAY),
    Series("dora@demo.example", "reports", "gemini", "gemini-2.5-flash", 48, 7400, 520, endpoint="generate", cached=0.2),
    Series("eli@demo.example", "prototype", "openai", "gpt-4o-mini", 30, 700, 280, hours=_EVENINGS, week=_EVERY_DAY),
    Series("fay@demo.example", "homework", "openai", "gpt-4o-mini", 8, 380, 240, hours=_EVENINGS, week=_EVERY_DAY),
)


class Outage(NamedTuple):
    """Hours of one local day in which calls of a vendor end with this status, and how many of them do."""

    vendor: str
    day: int
    hours: tuple[int, ...]
    status: int
    share: float


OVERLOADED = Outage("anthropic", -24, tuple(range(13, 17)), 529, 0.7)
EXPIRED = Outage("deepseek", -41, tuple(range(12)), 401, 1.0)
OUTAGES = (OVERLOADED, EXPIRED)


class Episode(NamedTuple):
    """Something planted: whose, on which days (counted as in `Series`, the last included), in which column it shows, and what it is."""

    name: str
    email: str
    first_day: int
    last_day: int
    shows_in: str
    what: str


EPISODES = (
    Episode("switch", "ada@demo.example", SWITCH, SWITCH, "model", "The support bot left gpt-4o for gpt-4o-mini."),
    *(Episode("runaway", "ben@demo.example", day, day, "tokens", "The nightly agent called itself in a loop.") for day in RUNAWAY_DAYS),
    Episode("outage", "ada@demo.example", OVERLOADED.day, OVERLOADED.day, "status", "Anthropic was overloaded for an afternoon."),
    Episode("outage", "ben@demo.example", OVERLOADED.day, OVERLOADED.day, "status", "Anthropic was overloaded for an afternoon."),
    Episode("expired key", "chen@demo.example", EXPIRED.day, EXPIRED.day, "status", "The deepseek keys had expired; new ones by noon."),
    Episode(
        "drafts",
        "chen@demo.example",
        DRAFTS,
        DRAFTS,
        "model",
        "Drafts are written by deepseek-v4-flash, whose price changed twice in 2026.",
    ),
)
