"""What machines ask of the web process (alive, ready, metrics), and the dashboard's one-time downloads."""

from datetime import datetime
from functools import partial

from fastapi import FastAPI, Request
from sqlalchemy import text
from starlette.responses import Response

from byok import downloads, export
from byok.answers import NO_STORE, ExactJson
from byok.api.caller import pool_of, services_of
from byok.api.usage import downloaded, exported
from byok.errors import ByokError, NotFound, Unauthorized
from byok.forms import signed_in
from byok.metrics import CONTENT_TYPE, WebMetrics
from byok.services import Services
from byok.store import questions


class NotReady(ByokError):
    status, code = 503, "not_ready"

    def __init__(self, part: str) -> None:
        super().__init__(f"The {part} cannot be read.", remedy="Run: byok doctor")


def add_to(api: FastAPI, metrics: WebMetrics) -> None:
    """Add these routes; they are no part of the documented API."""
    for path, answer in (("/healthz", alive), ("/readyz", ready), ("/metrics", partial(measured, metrics))):
        api.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
    api.add_api_route("/download/{link}", download, methods=["GET"], include_in_schema=False)  # a look would use the link up


async def alive() -> ExactJson:
    return ExactJson({"status": "ok"})


async def ready(request: Request) -> ExactJson:
    """Whether accounts and store can be read."""
    await pool_of(request).run(_check, services_of(request))
    return ExactJson({"status": "ok"})


def _check(services: Services) -> None:
    try:
        with services.db.engine.connect() as connection:
            connection.execute(text("select 1"))
    except Exception:
        raise NotReady("accounts database") from None
    try:
        services.engine.view()
    except Exception:
        raise NotReady("usage store") from None


async def measured(metrics: WebMetrics, request: Request) -> Response:
    return Response(await pool_of(request).run(metrics.text), media_type=CONTENT_TYPE, headers=NO_STORE)


async def download(request: Request, link: str) -> Response:
    """A download that a page of the dashboard offered, once, to the user it was offered to."""
    services, pool = services_of(request), pool_of(request)
    user = await signed_in(request.cookies, services, pool)
    if user is None:
        raise Unauthorized
    now: datetime = services.now()
    offer = downloads.REGISTRY.take(link, user.id, now=now)
    if offer is None or (offer.admins_only and not user.admin):
        raise NotFound("This download link was used, is too old, or is not yours.", remedy="Press the download button again.")
    if offer.scope is None:
        return downloaded(pool.pieces(export.file(offer.format, offer.answer)), offer.format, offer.filename)
    progress = downloads.REGISTRY.begin(link, user.id)
    if offer.group_by:
        batches = questions.sums(services.engine, offer.scope, group_by=offer.group_by)
    else:
        batches = questions.records(services.engine, offer.scope, priced=offer.priced)
    return await exported(services, pool, offer.scope, offer.format, offer.filename, progress.counting(batches))
