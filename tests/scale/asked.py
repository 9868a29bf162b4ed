"""Every question of the store as it is asked of two engines that must agree; a new file in sql/ that is not among them fails a test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from byok.store import wording
from byok.store.scope import AnyScope, EveryonesScope, Scope

VIEWS = {f"view_{name}" for name in ("prices", "usage", "usage_costed", "usage_priced")}
# Spark reads the files itself; remembered sums are DuckDB's own.
DUCKDBS_OWN = {
    "macros",
    "read_whole_file",
    "view_rows",
    "view_rows_tail_only",
    "view_summed",
    "view_summed_priced",
    "leaving_of_file",
    "sums_of_file",
    "sums_of_all",
    "rows_of_day",
    "sums_of_users",
    "users_of_file",
    "held_rows",
    "view_held_costed",
    "view_held_usage",
}
IN_NO_ORDER = {"records_as_they_lie", "hourly", "hourly_by_key", "hours_of_keys", "all_prices", "calls_by_key"}
ZONED = {"usage_by_time"}
CHOSEN = {"summary", "hourly_by_key", "hours_of_keys", "records"}  # with the filters that the others do without
STREAMED = {"records", "records_as_they_lie", "hourly", "hourly_by_key"}  # many rows: never asked of everyone


@dataclass(frozen=True)
class World:
    """What the records in question hold: two users, keys of the first, a stretch of time, and the moment from which something is new."""

    user: str
    other: str
    key_ids: Sequence[str]
    since: datetime
    until: datetime
    now: datetime

    @property
    def scopes(self) -> dict[str, AnyScope]:
        around = (self.since, self.until)
        return {
            "everyone": EveryonesScope(*around),
            "one": Scope(self.user, *around),
            "two, filtered": EveryonesScope(*around, vendors=("openai",), statuses=(200, 429), user_ids=(self.user, self.other)),
            "one, chosen": Scope(self.user, *around, models=("gpt-4o", "claude-haiku-4"), key_ids=tuple(self.key_ids)),
            "everyone, Berlin": EveryonesScope(*around, tz="Europe/Berlin"),
            "one, Kathmandu": Scope(self.user, *around, tz="Asia/Kathmandu"),
            "nobody": Scope("usr_nobody", *around),
        }


def questions() -> list[str]:
    """The names of the files in sql/."""
    folder = resources.files("byok.store").joinpath("sql")
    return sorted(Path(str(entry)).stem for entry in folder.iterdir() if str(entry).endswith(".sql"))


def asked(world: World) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Question, name of the scope ("" for none) and the other words of `Engine.ask`, or of `Engine.stream` for those in `STREAMED`.

    In each kind of scope once, and with other words in the one that narrows most.
    """
    before: set[str] = set()
    for question, words in _words(world):
        if question in ("price_list", "all_prices"):
            scopes = [""]
        elif question in before:
            scopes = ["two, filtered"]
        elif question in STREAMED:
            scopes = ["one", "two, filtered", "nobody"]
        else:
            scopes = list(world.scopes) if question in ZONED else ["everyone", "one", "two, filtered", "nobody"]
        if question in CHOSEN - before:
            scopes = [*scopes, "one, chosen"]
        before.add(question)
        for name in scopes:
            yield question, name, words


def _words(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    starts = [world.since, world.now, world.now + timedelta(minutes=10), world.now + timedelta(minutes=20)]
    hour = int(world.now.timestamp()) // 3600
    swapped = {"from_vendors": ["openai"], "from_models": ["gpt-4o"], "to_vendors": ["anthropic"], "to_models": ["claude-haiku-4"]}
    yield "first_uses", {"asked_since": world.now, "newcomers_h": 0}
    yield "first_uses", {"asked_since": world.now, "newcomers_h": 24}
    for share in (None, 0.0, 0.5):
        yield "what_if", swapped | {"cached_share": share}
    yield "usage", {"group_by": ("vendor", "model"), "priced": True}
    for by in ((), *((name,) for name in wording.COLUMNS)):
        yield "usage", {"group_by": by}
    yield "usage", {"group_by": ("key_id",), "priced": True, "split": True}
    yield "usage_by_time", {"group_by": ("hour", "model"), "priced": True}
    for time in wording.TIMES:
        yield "usage_by_time", {"group_by": (time,), "priced": True}
    yield "usage_by_time", {"group_by": ("weekday", "hour_of_day")}
    yield "usage_by_time", {"group_by": ("month", "status"), "priced": True, "split": True}
    yield "waits", {"group_by": (), "starts": starts}
    yield "waits", {"group_by": ("model",), "starts": starts}
    yield "cached_input", {"group_by": (), "starts": starts}
    yield "cached_input", {"group_by": ("vendor",), "starts": starts}
    for question in (
        "summary",
        "facets",
        "extent",
        "records_per_hour",
        "calls_of_users",
        "speeds",
        "sources",
        "price_sources",
    ):
        yield question, {}
    yield "calls_by_key", {"same_from": 0, "same_hours": 3}
    yield "moment_of_nth_newest", {"place": 3}
    yield "recent_failures", {"most": 20}
    yield "hours_of_keys", {"hours": [hour, hour + 1]}
    yield "hours_of_keys", {"hours": [hour], "priced": True}
    yield "records", {"priced": True}
    yield "records", {}
    yield "records_as_they_lie", {"priced": True}
    yield "records_as_they_lie", {"priced": True, "columns": ("ts", "cost_usd")}
    yield "hourly", {}
    yield "hourly", {"priced": True}
    yield "hourly_by_key", {"priced": True}
    yield "price_list", {"at": world.now}
    yield "all_prices", {}
