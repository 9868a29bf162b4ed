"""GET /costs and what it would have cost otherwise."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Me
from byok.api.usage import said, scope_of
from byok.pricing.tokenizers import NOTE
from byok.services import Services
from byok.store import money
from byok.store.scope import Scope, parse_group_by

router = APIRouter(tags=["usage"])


@router.get("/costs", response_model=answers.Costs)
async def costs(me: Me, query: Annotated[requests.CostsQuery, Query()], request: Request) -> ExactJson:
    """What your calls cost and its parts, dearest first, with the prices' sources by vendor and model; a null cost is unknown, not zero."""
    scope = scope_of(request, me.user, me.now)
    groups = parse_group_by(query.group_by, everyone=me.user.admin)
    return await me.ask(_costs, me.services, scope, groups)


def _costs(services: Services, scope: Scope, groups: tuple[str, ...]) -> ExactJson:
    found = money.costs(services.engine, scope, group_by=groups)
    rows = found.rows
    if {"vendor", "model"} <= set(groups):
        sources = money.price_sources(services.engine, scope)
        rows = [row | {"price_sources": sources.get((row["vendor"], row["model"]), [])} for row in rows]
    return ExactJson({"costs": rows, **found.totals}, headers=said(found.incomplete))


@router.get("/costs/what-if", response_model=answers.WhatIf)
async def what_if(me: Me, query: Annotated[requests.WhatIfQuery, Query()], request: Request) -> ExactJson:
    """What the same calls would have cost with other models, or with another share of cached input, call by call."""
    scope = scope_of(request, me.user, me.now)
    swaps = dict(money.swap(text) for text in query.replace)
    found = await me.ask(money.what_if, me.services.engine, scope, swaps=swaps, cached_share=query.cached_share)
    return ExactJson({"what_if": found.rows, **found.totals, "note": NOTE}, headers=said(found.incomplete))
