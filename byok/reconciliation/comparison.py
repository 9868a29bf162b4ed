"""The vendor's account of each day and model beside the gateway's own records of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from byok import zones
from byok.gateway import models
from byok.reconciliation.exports import ALL_MODELS, Export, Kind, Said, read
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import AnyScope

ALL_WORDS = "all models"
NANO = Decimal("1e-9")


@dataclass(frozen=True)
class Row:
    """A day and model: `theirs` and `ours` in tokens (usage) or USD (cost), and calls where the vendor counts them."""

    day: date | None
    model: str
    theirs: Decimal
    ours: Decimal
    their_requests: int | None = None
    our_requests: int | None = None

    @property
    def captured(self) -> float | None:
        """The share of the vendor's figure that the gateway saw; None where the vendor has none."""
        return float(self.ours / self.theirs) if self.theirs > 0 else None


@dataclass(frozen=True)
class Reconciliation:
    """`rows` by day and model; `total`: of the models that the export names; `days_gone`: how many days are left out, as their records
    are not all kept any more; `unnamed`: models that the gateway alone knows (an export may be of one kind of call).
    """

    vendor: str
    kind: Kind
    since: date
    until: date
    rows: list[Row]
    total: Row
    days_gone: int
    unnamed: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The shape of `byok reconcile --json`; USD with nine places, tokens whole; `until` is the last day."""
        return {
            "vendor": self.vendor,
            "kind": self.kind,
            "unit": "tokens" if self.kind == "usage" else "usd",
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "days_gone": self.days_gone,
            "unnamed": list(self.unnamed),
            "total": self._fact(self.total),
            "rows": [self._fact(row) for row in self.rows],
        }

    def _fact(self, row: Row) -> dict[str, Any]:
        def amount(value: Decimal) -> Decimal | int:
            return int(value) if self.kind == "usage" else value.quantize(NANO)

        return {
            "day": row.day and row.day.isoformat(),
            "model": row.model,
            "vendor": amount(row.theirs),
            "gateway": amount(row.ours),
            "captured": None if row.captured is None else round(row.captured, 4),
            "vendor_requests": row.their_requests,
            "gateway_requests": row.our_requests,
        }


def booked_name(vendor: str, name: str) -> str:
    """The word under which a vendor's model is booked here; the same name where the catalogue has none."""
    known = models.catalogue_name(vendor, name)
    return known or (name if models.is_storable(name) else "other")


def reconcile(engine: Engine, scope: AnyScope, lines: Iterable[str], *, kept_from: datetime | None = None) -> Reconciliation:
    """Compare an export, given line by line, with the records of `scope`'s users and keys; its period and vendors are not looked at.

    Days are those of UTC, as vendors count them. Raises `ExportUnreadable`.
    """
    export = read(lines, name_of=booked_name)
    first_kept = date.min if kept_from is None else (kept_from + timedelta(days=1) - timedelta(microseconds=1)).astimezone(UTC).date()
    days = sorted({day for day, _ in export.rows})
    kept = [day for day in days if day >= first_kept]
    since, until = (days[0], days[-1]) if days else (date.min, date.min)
    ours = _ours(engine, scope, export, kept)
    theirs = {key: said for key, said in export.rows.items() if key[0] >= first_kept}
    if any(model == ALL_MODELS for _, model in theirs):  # somewhere models are not told apart: then nowhere
        theirs, ours = _by_day(theirs), _by_day(ours)
    nobody = Said()
    keys = sorted(theirs.keys() | ours.keys())
    rows = [_row(export, key[0], key[1] or ALL_WORDS, theirs.get(key, nobody), ours.get(key, nobody)) for key in keys]
    named = {model for _, model in theirs}
    seen = _sum(said for (_, model), said in ours.items() if model in named)
    total = _row(export, None, ALL_WORDS, _sum(theirs.values()), seen)
    unnamed = tuple(sorted({model for _, model in ours} - named))
    return Reconciliation(export.vendor, export.kind, since, until, rows, total, len(days) - len(kept), unnamed)


def _ours(engine: Engine, scope: AnyScope, export: Export, days: list[date]) -> dict[tuple[date, str], Said]:
    if not days:
        return {}
    until = zones.midnight(days[-1] + timedelta(days=1), "UTC")
    asked = replace(scope, since=zones.midnight(days[0], "UTC"), until=until, tz="UTC", vendors=(export.vendor,))
    found: dict[tuple[date, str], Said] = {}
    wanted = set(days)
    for row in questions.usage(engine, asked, group_by=("day", "model"), cost=True).rows:
        day = date.fromisoformat(row["day"])
        if day in wanted:
            usd = row["cost_usd"] or Decimal(0)
            found[day, row["model"]] = Said(row["prompt_tokens"], row["completion_tokens"], row["success"], usd)
    return found


def _by_day(rows: dict[tuple[date, str], Said]) -> dict[tuple[date, str], Said]:
    days = {day for day, _ in rows}
    return {(day, ALL_MODELS): _sum(said for (one, _), said in rows.items() if one == day) for day in days}


def _sum(rows: Iterable[Said]) -> Said:
    total = Said()
    for said in rows:
        total.prompt_tokens += said.prompt_tokens
        total.completion_tokens += said.completion_tokens
        total.requests += said.requests
        total.usd += said.usd
    return total


def _row(export: Export, day: date | None, model: str, theirs: Said, ours: Said) -> Row:
    def amount(said: Said) -> Decimal:
        return Decimal(said.prompt_tokens + said.completion_tokens) if export.kind == "usage" else said.usd

    requests = (theirs.requests, ours.requests) if export.has_requests else (None, None)
    return Row(day, model, amount(theirs), amount(ours), *requests)
