"""GET /costs/forecast: what the month will come to."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byok.accounts.plans import keep_after
from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Me
from byok.api.usage import completeness, scope_of
from byok.services import Services
from byok.store.outlook import Metric, outlook
from byok.store.scope import Scope

router = APIRouter(tags=["usage"])


@router.get("/costs/forecast", response_model=answers.Forecast)
async def forecast(me: Me, query: Annotated[requests.ForecastQuery, Query()], request: Request) -> ExactJson:
    """What this month will come to, with a range that holds four times out of five; nulls and a reason where there is too little data."""
    scope = scope_of(request, me.user, me.now)
    return await me.ask(_forecast, me.services, scope, query.metric, me.user.retention_days)


def _forecast(services: Services, scope: Scope, metric: Metric, retention_days: int) -> ExactJson:
    now = services.now()
    found = outlook(services.engine, scope, now=now, metric=metric, kept_from=keep_after(retention_days, now))
    return ExactJson({**found.facts(), "tz": scope.tz}, headers=completeness(services))
