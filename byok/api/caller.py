"""Who asks: the user behind a bearer token, and the pool that answers him."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from byok.accounts import identify
from byok.accounts.access_tokens import Grant
from byok.accounts.errors import TokenRestricted
from byok.accounts.users import User
from byok.errors import BadRequest, Forbidden, Unauthorized
from byok.gateway.vendors import vendors
from byok.pool import Pool
from byok.services import Services

P = ParamSpec("P")
T = TypeVar("T")

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([\x21-\x2b\x2d-\x7e]{1,8192})")  # one space, one credential
REPEATABLE = frozenset({"vendor", "model", "key_id", "status", "group_by", "user_id", "replace"})


class Invalid(BadRequest):
    """A parameter or field that is not as described; the message never repeats its value."""

    code = "invalid_parameter"


@dataclass(frozen=True)
class Caller:
    """A known user, and what his question needs."""

    user: User
    services: Services
    pool: Pool

    @property
    def now(self) -> datetime:
        return self.services.now()

    async def ask(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in the pool."""
        return await self.pool.run(call, *args, **kwargs)

    def check_vendor(self, name: str) -> None:
        """Raise `Invalid` if this installation knows no vendor of this name."""
        if name not in (known := vendors(self.services.settings)):
            raise Invalid("No vendor of this name is known here.", remedy="Known: " + ", ".join(sorted(known)))


def bearer(request: Request) -> str:
    """Return the one credential of the request, or raise `Unauthorized`."""
    given = request.headers.getlist("authorization")
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if match is None:
        raise Unauthorized
    return match[1]


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def pool_of(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


async def known_user(request: Request) -> Caller:
    """Who asks. Raises `Unauthorized`, or `TokenRestricted` where a token for some models only would change something."""
    services, pool = services_of(request), pool_of(request)
    grant = await pool.run(_identify, services, bearer(request))
    if grant is None:
        raise Unauthorized
    if grant.models and request.method not in ("GET", "HEAD"):
        raise TokenRestricted
    return Caller(grant.user, services, pool)


def _identify(services: Services, credential: str) -> Grant | None:
    return identify.identify(services.db, services.jwt_secret, credential, now=services.now())


async def known_admin(caller: Annotated[Caller, Depends(known_user)]) -> Caller:
    """The same for an admin; raises `Forbidden` for anyone else."""
    if not caller.user.admin:
        raise Forbidden("This route is for admins.", remedy="Ask an admin, or use the same route without /admin.")
    return caller


def refuse_repeated(request: Request) -> None:
    """A parameter that takes one value may come once: two would make us choose."""
    names = [name for name, _ in request.query_params.multi_items() if name not in REPEATABLE]
    if len(names) != len(set(names)):
        raise Invalid("A parameter that takes one value came more than once.", remedy="Send it once.")


DOCUMENTED = Security(HTTPBearer(auto_error=False, description="A JWT of POST /auth/token, or an access token."))
Me = Annotated[Caller, Depends(known_user)]
Admin = Annotated[Caller, Depends(known_admin)]
