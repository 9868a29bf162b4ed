"""Routes for admins, over all users: their own paths, so that nobody sees everyone by a forgotten filter."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byok.accounts import users
from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Admin
from byok.api.usage import parameters_of, summed, unusual_hours
from byok.store.scope import parse_everyones_scope, parse_group_by

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/usage", response_model=answers.Usage)
async def everyones_usage(admin: Admin, query: Annotated[requests.EveryonesUsageQuery, Query()], request: Request) -> ExactJson:
    """As GET /usage, over all users."""
    scope = parse_everyones_scope(parameters_of(request), tz=admin.user.tz)
    groups = parse_group_by(query.group_by, everyone=True)
    return await admin.ask(summed, admin.services, scope, groups, cost=query.cost == "true")


@router.get("/spikes", response_model=answers.EveryonesSpikes)
async def everyones_spikes(admin: Admin, query: Annotated[requests.SpikesQuery, Query()], request: Request) -> ExactJson:
    """As GET /usage/spikes, over all users."""
    scope = parse_everyones_scope(parameters_of(request), tz=admin.user.tz)
    return await admin.ask(unusual_hours, admin.services, scope, query.limit)


@router.get("/users", response_model=answers.Users)
async def everyone(admin: Admin, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """All users, by e-mail."""
    found = await admin.ask(users.all_users, admin.services.db)
    return ExactJson({"users": [user.public() for user in found]})
