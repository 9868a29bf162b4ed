"""The API as one ASGI app: its routes, and one error body for all of them."""

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from byok import __version__
from byok.answers import ExactJson, error, file_fault, http_fault, internal_fault, our_fault
from byok.api import account, admin, alerts, answers, budgets, costs, docs, forecast, operating, usage
from byok.api.caller import DOCUMENTED, Invalid, refuse_repeated
from byok.errors import BadRequest, ByokError
from byok.metrics import WebMetrics
from byok.pool import Pool
from byok.services import Services

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": answers.Error, "description": "A parameter or the body is not as described."},
    401: {"model": answers.Error, "description": "No valid access token or JWT."},
}


class UnknownParameter(BadRequest):
    code = "unknown_parameter"


def create_api(services: Services, pool: Pool, metrics: WebMetrics) -> FastAPI:
    """Return the API over these services; blocking work goes to `pool`."""
    api = FastAPI(
        title="BYOK",
        version=__version__,
        description="Your usage, as the gateway booked it. Every answer is about the token's own user.",
        docs_url=None,  # FastAPI's page loads its scripts from other people's servers
        redoc_url=None,
        redirect_slashes=False,
        responses=_ERRORS,
        dependencies=[Depends(refuse_repeated), DOCUMENTED],
    )
    api.state.services, api.state.pool, api.state.erasing = services, pool, asyncio.Lock()
    for router in (usage.router, costs.router, forecast.router, account.router, budgets.router, alerts.router, admin.router):
        api.include_router(router)
    api.add_api_route("/docs", docs.page, methods=["GET"], include_in_schema=False)
    operating.add_to(api, metrics)
    api.add_exception_handler(ByokError, our_fault)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, http_fault)
    api.add_exception_handler(OSError, file_fault)
    api.add_exception_handler(Exception, internal_fault)
    return api


async def _invalid(request: Request, fault: Exception) -> ExactJson:
    """Name the parameter that is wrong, never its value: it may be a secret that took a wrong turn."""
    assert isinstance(fault, RequestValidationError)  # noqa: S101 - registered for it
    wrong = fault.errors()[0]
    where, *names = [str(part) for part in wrong["loc"]] or ["body"]
    if wrong["type"] == "extra_forbidden":
        known = _known_names(request, where)
        remedy = f"Known here: {', '.join(known)}." if known else "This route takes none."
        return error(UnknownParameter(f"The {where} has a parameter that is not known here.", remedy=remedy))
    if where == "body" and not (names and names[0] in _known_names(request, "body")):
        return error(Invalid("The body is not the JSON that this route takes.", remedy="GET /docs shows an example."))
    return error(Invalid(f"`{names[0]}` is missing or not valid.", remedy="GET /docs says what it takes."))


def _known_names(request: Request, where: str) -> list[str]:
    operation = docs.operation(request.app, request.scope["route"].path, request.method)
    if where == "body":
        return list(docs.body_properties(request.app, operation))
    return [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == where]
