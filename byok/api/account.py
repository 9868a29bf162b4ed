"""Your account: who you are, your vendor keys, your access tokens, a JWT, and the models we know."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from byok.accounts import access_tokens, api_tokens, key_vault, passwords
from byok.accounts.access_tokens import AccessToken
from byok.accounts.errors import TokenRestricted
from byok.accounts.key_vault import VendorKey
from byok.accounts.users import User
from byok.address import client_address
from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Me, bearer, pool_of, services_of
from byok.errors import NotFound, Unauthorized
from byok.services import Services
from byok.store import questions

router = APIRouter()

JWT_TTL_S = 3600


@router.post("/auth/token", response_model=answers.Token, tags=["tokens"])
async def token(request: Request, _: Annotated[requests.NoQuery, Query()], credentials: requests.Credentials | None = None) -> ExactJson:
    """A JWT for one hour: for e-mail and password in the body, or for an access token as Bearer with an empty body."""
    services = services_of(request)
    if credentials is not None:
        user = await pool_of(request).run(
            passwords.check,
            services.db,
            credentials.email,
            credentials.password,
            now=services.now(),
            address=client_address(request.scope, services.settings),
        )
    else:
        user = await pool_of(request).run(_of_access_token, services, bearer(request))
    if user is None:
        raise Unauthorized
    jwt = api_tokens.issue(user.id, services.jwt_secret, now=services.now(), ttl_s=JWT_TTL_S)
    return ExactJson({"token": jwt, "token_type": "Bearer", "expires_in": JWT_TTL_S})


def _of_access_token(services: Services, credential: str) -> User | None:
    grant = access_tokens.read(services.db, credential, now=services.now())  # no JWT: it would renew itself for ever
    if grant is not None and grant.models:
        raise TokenRestricted  # a JWT knows no list of models
    return None if grant is None else grant.user


@router.get("/me", response_model=answers.Me, tags=["account"])
async def me(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Who this token belongs to."""
    return ExactJson({**me.user.public(), "name": me.user.name, "tz": me.user.tz})


@router.get("/keys", response_model=answers.Keys, tags=["keys"])
async def list_keys(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Your vendor keys: names and last four characters, never a secret."""
    found = await me.ask(key_vault.of_user, me.services.db, me.user.id)
    return ExactJson({"keys": [_key(key) for key in found]})


@router.post("/keys", response_model=answers.Key, status_code=201, tags=["keys"])
async def add_key(me: Me, _: Annotated[requests.NoQuery, Query()], new: requests.NewKey) -> ExactJson:
    """Store a vendor key, encrypted; the first of a vendor becomes its default."""
    me.check_vendor(new.vendor)
    key = await me.ask(key_vault.add, me.services.db, me.services.master, me.user.id, new.vendor, new.secret, now=me.now, label=new.label)
    return ExactJson(_key(key), 201)


@router.delete("/keys/{key_id}", status_code=204, tags=["keys"])
async def revoke_key(me: Me, key_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Forget a vendor key; calls that name it stop at once."""
    if not await me.ask(key_vault.revoke, me.services.db, me.user.id, key_id):
        raise NotFound("You have no such key.", remedy="GET /keys lists yours.")
    return Response(status_code=204, headers={"cache-control": "no-store"})


@router.get("/access-tokens", response_model=answers.AccessTokens, tags=["tokens"])
async def list_access_tokens(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Your access tokens, without their secrets."""
    found = await me.ask(access_tokens.of_user, me.services.db, me.user.id)
    return ExactJson({"access_tokens": [_token(token) for token in found]})


@router.post("/access-tokens", response_model=answers.NewAccessTokenFacts, status_code=201, tags=["tokens"])
async def new_access_token(me: Me, _: Annotated[requests.NoQuery, Query()], new: requests.NewAccessToken | None = None) -> ExactJson:
    """Make an access token; its text is in this answer and nowhere else."""
    new = new or requests.NewAccessToken()
    text = await me.ask(access_tokens.create, me.services.db, me.user.id, now=me.now, label=new.label, models=new.models)
    made = next(t for t in await me.ask(access_tokens.of_user, me.services.db, me.user.id) if t.id == text.split("_")[1])
    return ExactJson({**_token(made), "token": text}, 201)


@router.delete("/access-tokens/{token_id}", status_code=204, tags=["tokens"])
async def revoke_access_token(me: Me, token_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """End an access token; the gateway stops taking it within 5 s."""
    if not await me.ask(access_tokens.revoke, me.services.db, me.user.id, token_id):
        raise NotFound("You have no such access token.", remedy="GET /access-tokens lists yours.")
    return Response(status_code=204, headers={"cache-control": "no-store"})


@router.get("/models", response_model=answers.Models, tags=["models"])
async def models(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """The models with a price, and their rates in USD per million tokens; a null cached or write rate means the input rate."""
    return ExactJson({"models": await me.ask(questions.price_list, me.services.engine)})


def _key(key: VendorKey) -> dict[str, Any]:
    names = ("id", "vendor", "label", "last_four", "default", "created_at", "last_used_at", "refused_at")
    return {name: getattr(key, name) for name in names}


def _token(token: AccessToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in ("id", "label", "created_at", "last_used_at", "expires_at", "models")}
