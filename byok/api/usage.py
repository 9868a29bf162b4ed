"""GET /usage and what else lies below it: series, spikes, export, and the deletion of one's own records."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import chain
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from byok import downloads, export, sql_sessions, zones
from byok.accounts.users import User
from byok.answers import NO_STORE, ExactJson
from byok.api import answers, requests
from byok.api.caller import Me
from byok.errors import ByokError
from byok.pool import Pool
from byok.retention import Retention
from byok.services import Services
from byok.store import questions, unusual
from byok.store.scope import AnyScope, Scope, parse_group_by, parse_instant, parse_scope

router = APIRouter(tags=["usage"])


class ConfirmRequired(ByokError):
    """A deletion that was not confirmed: nothing happened yet."""

    status, code = 409, "confirm_required"

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows:,} records would be deleted for good.", remedy="Send the same request with confirm=true.")
        self.rows = rows

    def body(self) -> dict[str, dict[str, object]]:
        facts = super().body()
        facts["error"]["rows"] = self.rows
        return facts


MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@router.get("/usage", response_model=answers.Usage)
async def usage(me: Me, query: Annotated[requests.UsageQuery, Query()], request: Request) -> ExactJson:
    """Sums of your calls, largest first; with `cost=true` in USD, too."""
    scope = scope_of(request, me.user, me.now)
    groups = parse_group_by(query.group_by, everyone=me.user.admin)
    return await me.ask(summed, me.services, scope, groups, cost=query.cost == "true")


@router.get("/usage/series", response_model=answers.Series)
async def series(me: Me, query: Annotated[requests.SeriesQuery, Query()], request: Request) -> ExactJson:
    """Your calls over time: one row per bucket (and per value of `by`), empty buckets left out."""
    scope = scope_of(request, me.user, me.now)
    return await me.ask(_series, me.services, scope, query)


def _series(services: Services, scope: Scope, query: requests.SeriesQuery) -> ExactJson:
    rows = questions.series(services.engine, scope, grain=query.grain, by=query.by).to_pylist()
    return ExactJson({"series": rows, "grain": query.grain, "tz": scope.tz}, headers=completeness(services))


@router.get("/usage/spikes", response_model=answers.Spikes)
async def spikes(me: Me, query: Annotated[requests.SpikesQuery, Query()], request: Request) -> ExactJson:
    """Your unusual hours, newest first: far more tokens, calls, failures or cost than usual at that hour of the week, and why."""
    scope = scope_of(request, me.user, me.now)
    return await me.ask(unusual_hours, me.services, scope, query.limit, without=frozenset({"user_id"}))


@router.get("/usage/export", response_class=StreamingResponse)
async def export_records(me: Me, query: Annotated[requests.ExportQuery, Query()], request: Request) -> StreamingResponse:
    """Your records, oldest first, every column: a stream of any length."""
    scope = scope_of(request, me.user, me.now)
    batches = questions.records(me.services.engine, scope)
    return await exported(me.services, me.pool, scope, query.format, f"usage-{me.now:%Y-%m-%d}.{query.format}", batches)


@router.delete(
    "/usage", response_model=answers.Receipt, responses={409: {"model": answers.Error, "description": "Not confirmed: `rows` would go."}}
)
async def erase(me: Me, query: Annotated[requests.EraseQuery, Query()], request: Request) -> ExactJson:
    """Delete your records, from every file, for good; the answer is a receipt."""
    tz = query.tz or me.user.tz
    zones.zone(tz)
    before = None if query.before is None else parse_instant(query.before, tz, name="before")
    retention = Retention.of(me.services.settings, me.services.db)
    if query.confirm != "true":
        raise ConfirmRequired(await me.ask(retention.preview, me.user.id, now=me.now, before=before))
    async with request.app.state.erasing:  # one after the other: each may wait for a gateway, and must not take all threads
        receipt = await me.ask(retention.erase_usage, me.user.id, now=me.now, before=before)
    downloads.REGISTRY.forget(me.user.id)
    sql_sessions.end(me.services, me.user.id)
    return ExactJson(receipt)


async def exported(
    services: Services, pool: Pool, scope: AnyScope, format: str, filename: str, batches: Iterable[pa.RecordBatch]
) -> StreamingResponse:
    """An export as a download; its first piece is made before the answer starts, so that a fault is still an error."""
    pieces = iter(export.write(format, batches, filters=export.filters_of(scope)))
    first = await pool.run(next, pieces, b"")
    headers = await pool.run(completeness, services)  # reading may have found a broken file
    return downloaded(pool.pieces(_from_first(first, pieces)), format, filename, headers)


def downloaded(pieces: AsyncIterator[bytes], format: str, filename: str, headers: Mapping[str, str] = NO_STORE) -> StreamingResponse:
    """The pieces of a file as a download."""
    named = {"content-disposition": f'attachment; filename="{filename}"'}
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[format], headers={**NO_STORE, **headers, **named})


def _from_first(first: bytes, rest: Any) -> Any:
    try:
        yield from chain((first,), rest)
    finally:
        rest.close()


def summed(services: Services, scope: AnyScope, groups: Sequence[str], *, cost: bool) -> ExactJson:
    """The answer of GET /usage."""
    found = questions.usage(services.engine, scope, group_by=tuple(groups), cost=cost)
    return ExactJson(found.body(), headers=said(found.incomplete))


def unusual_hours(services: Services, scope: AnyScope, limit: int, *, without: frozenset[str] = frozenset()) -> ExactJson:
    """The answer of GET /usage/spikes."""
    checked_until = services.engine.now()
    rows = [asdict(spike) for spike in unusual.spikes(services.engine, scope)[:limit]]
    told = [{name: value for name, value in row.items() if name not in without} for row in rows]
    return ExactJson({"spikes": told, "checked_until": checked_until}, headers=completeness(services))


def completeness(services: Services) -> dict[str, str]:
    """A header that says so when a broken file was left out."""
    return said(bool(services.engine.quarantined))


def said(incomplete: bool) -> dict[str, str]:
    """The header that tells of a broken usage file, where there is one."""
    return {"x-byok-incomplete": "1"} if incomplete else {}


def scope_of(request: Request, user: User, now: datetime) -> Scope:
    """Whose records are asked for, and which. Raises `InvalidParameter` or `ZoneUnknown`."""
    return parse_scope(parameters_of(request), user=user, now=now)


def parameters_of(request: Request) -> Mapping[str, Sequence[str]]:
    """The parameters of the address, each with all its values."""
    return {name: request.query_params.getlist(name) for name in request.query_params}
