"""What the API takes, as OpenAPI shows it. Values are checked where they are used; here is their form."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Short = Annotated[str, Field(max_length=128)]
_Several = Annotated[list[_Short], Field(default_factory=list, max_length=200)]


class Query(BaseModel):
    """Base of every query string: a parameter that is not listed is refused."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(Query):
    pass


class PeriodQuery(Query):
    since: _Short | None = Field(
        None, description="ISO date (midnight of `tz`) or instant; included. Default: all that your plan keeps.", examples=["2026-11-01"]
    )
    until: _Short | None = Field(None, description="ISO date (midnight of `tz`) or instant; not included.", examples=["2026-12-01"])
    tz: _Short | None = Field(
        None, description="IANA time zone of dates, days, hours and months. Default: yours.", examples=["Europe/Berlin"]
    )
    vendor: _Several = Field(description="Only these vendors; repeatable.", examples=[["openai"]])
    model: _Several = Field(description="Only these models; repeatable.", examples=[["gpt-4o-mini"]])
    key_id: _Several = Field(description="Only calls with these vendor keys; repeatable.")
    status: _Several = Field(description="Only these HTTP statuses, `success` or `failed`; repeatable.", examples=[["429"]])


class UsageQuery(PeriodQuery):
    group_by: _Several = Field(
        description="Any of vendor, model, key_id, status, day, hour, month; repeated or with commas. Default: vendor,model.",
        examples=[["day,vendor"]],
    )
    cost: Literal["true", "false"] = Field("false", description="Adds cost_usd and unpriced_calls.", examples=["true"])


class EveryonesUsageQuery(UsageQuery):
    user_id: _Several = Field(description="Only these users; repeatable.")


class CostsQuery(PeriodQuery):
    group_by: _Several = Field(description="As in GET /usage. Default: vendor,model.", examples=[["model"]])


class ForecastQuery(Query):
    metric: Literal["cost", "tokens", "calls"] = Field("cost", description="What is counted.", examples=["tokens"])
    tz: _Short | None = Field(None, description="IANA time zone in which months and days are cut. Default: yours.")
    vendor: _Several = Field(description="Only these vendors; repeatable.", examples=[["openai"]])
    model: _Several = Field(description="Only these models; repeatable.")
    key_id: _Several = Field(description="Only calls with these vendor keys; repeatable.")


class WhatIfQuery(PeriodQuery):
    replace: Annotated[list[Annotated[str, Field(max_length=300)]], Field(default_factory=list, max_length=100)] = Field(
        description="vendor/model=vendor/model: as if the second had answered the calls of the first; repeatable.",
        examples=[["openai/gpt-4o=openai/gpt-4o-mini"]],
    )
    cached_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="As if this part (0 to 1) of every prompt had come from the vendor's cache.", examples=["0.5"]
    )


class SeriesQuery(PeriodQuery):
    grain: Literal["hour", "day", "month"] = Field("day", description="Width of a bucket, cut in `tz`.", examples=["hour"])
    by: Literal["vendor", "model", "key_id", "status"] | None = Field(
        None, description="One series per value of this column.", examples=["vendor"]
    )


class SpikesQuery(Query):
    since: _Short | None = Field(
        None, description="ISO date (midnight of `tz`) or instant; included. Default: all that your plan keeps.", examples=["2026-11-01"]
    )
    until: _Short | None = Field(None, description="ISO date (midnight of `tz`) or instant; not included.", examples=["2026-12-01"])
    tz: _Short | None = Field(None, description="IANA time zone of dates. Default: yours.", examples=["Europe/Berlin"])
    limit: int = Field(1000, ge=1, le=10_000, description="At most so many, the newest.", examples=[20])


class ExportQuery(PeriodQuery):
    format: Literal["csv", "json", "jsonl", "parquet"] = Field("csv", description="The file's format.", examples=["jsonl"])


class EraseQuery(Query):
    confirm: Literal["true", "false"] = Field(
        "false", description="Without `true` nothing is removed and the answer says how many rows would be."
    )
    before: _Short | None = Field(
        None, description="Only records before this ISO date (midnight of `tz`) or instant.", examples=["2026-06-01"]
    )
    tz: _Short | None = Field(None, description="IANA time zone of `before`. Default: yours.")


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"email": "you@example.org", "password": "…"}]})

    email: Annotated[str, Field(max_length=320)]
    password: Annotated[str, Field(max_length=1024)]


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"vendor": "openai", "secret": "sk-…", "label": "laptop"}]})

    vendor: Annotated[str, Field(max_length=64)]
    secret: Annotated[str, Field(max_length=4096, description="The vendor's secret; stored encrypted, never shown again.")]
    label: Annotated[str, Field(max_length=100)] = ""


class NewAccessToken(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"label": "laptop", "models": ["gpt-4o-mini"]}]})

    label: Annotated[str, Field(max_length=100)] = ""
    models: Annotated[list[_Short], Field(max_length=100, description="Only these: names, vendor/name, * for any part. None: all.")] = []


class NewBudget(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"usd": "49.50", "vendor": "openai", "hard": True}]})

    usd: Annotated[Decimal | None, Field(description="USD a month; this or `tokens`.")] = None
    tokens: Annotated[int | None, Field(description="Tokens a month.")] = None
    vendor: Annotated[str | None, Field(max_length=64, description="Only calls of this vendor.")] = None
    key_id: Annotated[str | None, Field(max_length=64, description="Only calls with this vendor key.")] = None
    hard: Annotated[bool, Field(description="Refuse calls when it is used up; else it only warns.")] = False


class NewBudgetOfUser(NewBudget):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_id": "usr_…", "tokens": 50_000_000}]})

    user_id: _Short


class NewAlert(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"channel": "slack", "url": "https://hooks.slack.com/services/…", "min_tokens": 5000}]},
    )

    channel: Literal["slack", "webhook", "mail"] = Field(description="mail goes to your own e-mail.")
    url: Annotated[str, Field(max_length=2000)] | None = Field(None, description="Of the webhook; stored encrypted, never shown again.")
    all_users: bool = Field(False, description="Watch all users (admins).")
    metric: Literal["tokens", "calls", "failed", "cost"] | None = Field(None, description="Default: any; of a threshold: tokens.")
    vendor: _Short | None = Field(None, description="Only calls of this vendor.")
    model: _Short | None = Field(None, description="Only calls of this model.")
    sensitivity: Literal["every", "strong", "extreme"] = Field("every", description="Which spikes: all, scores from 0.7, from 0.9.")
    min_tokens: Annotated[int, Field(ge=0, le=10**15)] = Field(1000, description="Never tell of hours below.")
    warn_at: Annotated[float, Field(gt=0, le=1e15)] | None = Field(None, description="Instead of spikes: warn from this amount on.")
    alert_at: Annotated[float, Field(gt=0, le=1e15)] | None = Field(None, description="Instead of spikes: alert from this amount on.")
    window: Literal["hour", "day"] = Field("hour", description="Within which the amount is reached.")
    silent_hours: Annotated[int, Field(ge=1, le=168)] | None = Field(None, description="Instead of spikes: no call for so long.")
    first_use: bool = Field(False, description="Instead of spikes: a model or key that was not used in the last eight weeks.")
    budgets: bool = Field(False, description="Instead of spikes: budgets, at 80 and 100 % and where the month leads.")
    quiet: Annotated[str, Field(max_length=11)] | None = Field(
        None, description="Hold back between these times of your day.", examples=["22:00-07:00"]
    )
