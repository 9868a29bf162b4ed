"""The web process: one ASGI app with the dashboard, sign-in, the API and downloads, under plain uvicorn.

Not under `streamlit run`: its socket delays each small answer by 45 ms.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from starlette.middleware import Middleware
from starlette.types import ASGIApp

import byok
from byok import logs, services, sql_sessions, start_page
from byok.api import create_api
from byok.door import Door
from byok.listening import listen
from byok.metrics import WebMetrics
from byok.pool import Pool
from byok.retention import Retention
from byok.services import Services
from byok.settings import Settings
from byok.signin import create_signin

if TYPE_CHECKING:
    import uvicorn

SCRIPT = Path(byok.__file__).resolve().parent.parent / "app.py"
GRACE_S = 30  # for open answers after SIGTERM

log = structlog.get_logger("byok.web")


def create_app(settings: Settings) -> ASGIApp:
    """Return the whole web process as one ASGI app; its services become those of this process. One per process: Streamlit is."""
    import streamlit as st
    from streamlit.components.v2.component_manager import BidiComponentManager
    from streamlit.runtime.pages_manager import PagesManager

    logs.adopt_streamlit()  # first: importing our pages' parts makes it warn
    from byok.ui import states

    # Else, until somebody has opened the first page, the address of another one shows it without app.py around it.
    PagesManager.uses_pages_directory = False
    BidiComponentManager.discover_and_register_components = _no_components  # type: ignore[method-assign]
    opened = Services(settings).open()
    opened.behind_web = True
    opened.engine.remember_aside()
    opened.engine.keep_answers()
    services.use(opened)
    pool = Pool()
    middleware = [Middleware(Door, **parts(opened, pool), start=start_page.html)]
    return st.App(SCRIPT, middleware=middleware, lifespan=_lifespan(opened, pool), on_script_error=states.script_failed)


def create_door(opened: Services, dashboard: ASGIApp) -> Door:
    """The same without Streamlit: everything of ours in front of any ASGI app."""
    return Door(dashboard, **parts(opened, Pool()))


def parts(opened: Services, pool: Pool) -> dict[str, Any]:
    """What the door needs, made from the services of this process."""
    metrics = WebMetrics(opened)
    return {
        "api": create_api(opened, pool, metrics),
        "signin": create_signin(opened, pool),
        "services": opened,
        "pool": pool,
        "metrics": metrics,
    }


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open answers get `GRACE_S` to end. Returns, so that the process can exit with 0.

    Raises `PortTaken`, and what is wrong with the keys or the accounts (`ByokError`).
    """
    logs.setup(settings, "web")
    with contextlib.closing(listen(settings.host, settings.web_port, "BYOK_WEB_PORT")) as listener:
        app = create_app(settings)
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it has stopped
            signal.signal(number, lambda *_: None)
        _server(app).run(sockets=[listener])


def _server(app: ASGIApp) -> "uvicorn.Server":
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # its lines hold query strings
        server_header=False,
        proxy_headers=False,  # byok.address says whose word counts
        ws_max_size=32 * 1024 * 1024,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def _no_components(*_: Any, **__: Any) -> None:
    """None are installed; to find that out Streamlit would read the description of every package."""


def _lifespan(opened: Services, pool: Pool) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        finishing = asyncio.create_task(pool.run(_finish_deletions, opened))  # may wait for a gateway; visitors need not
        log.info("started", host=opened.settings.host, port=opened.settings.web_port, data=str(opened.settings.data))
        yield
        finishing.cancel()
        pool.close()
        sql_sessions.close(opened)
        services.use(None)
        opened.close()
        log.info("stopped")

    return lifespan


def _finish_deletions(opened: Services) -> None:
    """A deletion that was killed ends with the next start of any process; one that cannot end now is the keeper's."""
    try:
        Retention.of(opened.settings, opened.db).finish(now=opened.now())
    except Exception as fault:
        log.warning("deletion_unfinished", exc_info=fault)
