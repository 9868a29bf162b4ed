"""What the API gives, as OpenAPI shows it."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ErrorFacts(BaseModel):
    code: str
    message: str
    remedy: str


class Error(BaseModel):
    error: ErrorFacts


class Token(BaseModel):
    token: str
    token_type: Literal["Bearer"]
    expires_in: int


class UsageRow(BaseModel):
    """The group columns (here the default ones) and the sums."""

    model_config = ConfigDict(extra="allow")

    vendor: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    calls: int
    success: int
    failed: int


class Usage(BaseModel):
    usage: list[UsageRow]
    total_tokens: int
    total_calls: int
    success: int
    failed: int
    cost_usd: Decimal | None = Field(None, description="Only with cost=true.")
    unpriced_calls: int | None = Field(None, description="Only with cost=true.")


class Costs(BaseModel):
    """Of each row and in total: input_usd (not cached), cached_usd, written_usd, output_usd and request_usd (fees) add up to cost_usd."""

    costs: list[dict[str, Any]]
    cost_usd: Decimal | None
    input_usd: Decimal | None
    cached_usd: Decimal | None
    written_usd: Decimal | None
    output_usd: Decimal | None
    request_usd: Decimal | None
    saved_usd: Decimal | None = Field(description="What caching saved, less what writing the cache cost more.")
    usd_per_1000_calls: Decimal | None
    cached_tokens: int
    cache_write_tokens: int
    unpriced_calls: int
    total_calls: int


class WhatIf(BaseModel):
    what_if: list[dict[str, Any]]
    cost_usd: Decimal
    what_if_usd: Decimal
    difference_usd: Decimal
    calls: int
    unpriced_calls: int
    note: str


class Forecast(BaseModel):
    """In USD, tokens or calls; `low` and `high` enclose the month's end four times out of five. `basis` says from what, or why not.

    `so_far` is null where calls were made and no cost of any is known.
    """

    metric: str
    month: str
    so_far: Decimal | None
    middle: Decimal | None
    low: Decimal | None
    high: Decimal | None
    enough: bool
    basis: str
    unpriced_calls: int
    tz: str


class Series(BaseModel):
    series: list[dict[str, Any]]
    grain: str
    tz: str


class Spike(BaseModel):
    hour: str
    vendor: str = Field(description="Empty: all calls of the user.")
    model: str = Field(description="Empty: all models, of the key that `why` names or of all keys.")
    metric: Literal["tokens", "calls", "failed", "cost"]
    actual: float
    usual: float
    times: float | None = Field(description="actual / usual; null where usual is 0.")
    score: float = Field(description="From 0 to 1; 0.5 and more is a spike.")
    why: str


class EveryonesSpike(Spike):
    user_id: str


class Spikes(BaseModel):
    spikes: list[Spike]
    checked_until: str


class EveryonesSpikes(BaseModel):
    spikes: list[EveryonesSpike]
    checked_until: str


class Receipt(BaseModel):
    receipt: str
    kind: Literal["erase"]
    dry_run: bool
    rows: int
    files: int
    seconds: float
    at: str


class UserFacts(BaseModel):
    id: str
    email: str
    plan: str
    retention_days: int
    admin: bool
    disabled: bool
    created: str


class Me(UserFacts):
    name: str | None
    tz: str


class Users(BaseModel):
    users: list[UserFacts]


class Key(BaseModel):
    id: str
    vendor: str
    label: str
    last_four: str
    default: bool
    created_at: str
    last_used_at: str | None
    refused_at: str | None


class Keys(BaseModel):
    keys: list[Key]


class AccessTokenFacts(BaseModel):
    id: str
    label: str
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    models: list[str]


class AccessTokens(BaseModel):
    access_tokens: list[AccessTokenFacts]


class NewAccessTokenFacts(AccessTokenFacts):
    token: str


class Budget(BaseModel):
    """`limit` and `spent` in USD or tokens. What this month has used up is null until it was counted, which takes a few seconds."""

    id: str
    vendor: str | None
    key_id: str | None
    metric: Literal["usd", "tokens"]
    limit: Decimal
    hard: bool
    by_admin: bool
    spent: Decimal | None
    share: float | None
    used_up: bool
    unpriced_calls: int | None
    month: str | None
    month_ends: str | None
    counted_at: str | None


class EveryonesBudget(Budget):
    user_id: str


class Budgets(BaseModel):
    budgets: list[Budget]


class EveryonesBudgets(BaseModel):
    budgets: list[EveryonesBudget]


class Models(BaseModel):
    models: list[dict[str, Any]]


class DeliveryFacts(BaseModel):
    id: str
    kind: Literal["alert", "resolved", "test", "report"]
    status: Literal["pending", "sent", "refused", "expired"]
    result: str | None = Field(description="What came of the last try: a status or a word of ours.")
    tries: int
    created_at: str
    last_try_at: str | None
    ended_at: str | None
    next_try_at: str | None


class Alert(BaseModel):
    id: str
    email: str
    channel: str
    to: str = Field(description="Of a web address only host and last four characters.")
    kind: Literal["spike", "above", "silence", "first_use", "budget"]
    all_users: bool
    metric: str | None
    vendor: str | None
    model: str | None
    least_score: float
    min_tokens: int
    warn_at: float | None
    alert_at: float | None
    window: str | None
    silent_hours: int | None
    quiet: str | None
    paused: bool
    created: str
    last: DeliveryFacts | None


class Alerts(BaseModel):
    alerts: list[Alert]


class NewAlertFacts(Alert):
    signing_secret: str | None = Field(description="What a webhook's messages are signed with: in this answer and nowhere else.")


class Tested(BaseModel):
    sent: bool
    result: str
