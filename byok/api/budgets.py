"""Budgets: your own, and for admins everybody's."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from byok.accounts import budgets, key_vault, users
from byok.accounts.budgets import Budget
from byok.accounts.errors import UserUnknown
from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Admin, Caller, Invalid, Me
from byok.budgets import facts
from byok.usage import PASSTHROUGH_KEY

router = APIRouter()


@router.get("/budgets", response_model=answers.Budgets, tags=["budgets"])
async def list_budgets(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Your budgets, and what this month has used up of each."""
    return _listed(await me.ask(budgets.of_user, me.services.db, me.user.id), me.now)


@router.post("/budgets", response_model=answers.Budget, status_code=201, tags=["budgets"])
async def set_budget(me: Me, _: Annotated[requests.NoQuery, Query()], new: requests.NewBudget) -> ExactJson:
    """Set a budget of your own for every month, in place of an earlier one for the same; a hard one refuses calls when it is used up."""
    return await _set(me, me.user.id, new, by_admin=False)


@router.delete("/budgets/{budget_id}", status_code=204, tags=["budgets"])
async def remove_budget(me: Me, budget_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Remove a budget of your own; one that an admin has set stays."""
    await me.ask(budgets.remove, me.services.db, budget_id, user_id=me.user.id)
    return Response(status_code=204, headers={"cache-control": "no-store"})


@router.get("/admin/budgets", response_model=answers.EveryonesBudgets, tags=["admin"])
async def everyones_budgets(admin: Admin, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """All budgets, by user."""
    found = await admin.ask(budgets.every, admin.services.db)
    return _listed(found, admin.now, lambda one: {"user_id": one.user_id})


@router.post("/admin/budgets", response_model=answers.EveryonesBudget, status_code=201, tags=["admin"])
async def set_anyones_budget(admin: Admin, _: Annotated[requests.NoQuery, Query()], new: requests.NewBudgetOfUser) -> ExactJson:
    """Set a budget for a user, who cannot change it."""
    if await admin.ask(users.by_id, admin.services.db, new.user_id) is None:
        raise UserUnknown
    return await _set(admin, new.user_id, new, by_admin=True)


@router.delete("/admin/budgets/{budget_id}", status_code=204, tags=["admin"])
async def remove_anyones_budget(admin: Admin, budget_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Remove any budget."""
    await admin.ask(budgets.remove, admin.services.db, budget_id)
    return Response(status_code=204, headers={"cache-control": "no-store"})


async def _set(caller: Caller, user_id: str, new: requests.NewBudget, *, by_admin: bool) -> ExactJson:
    if new.vendor is not None:
        caller.check_vendor(new.vendor)
    keys = await caller.ask(key_vault.of_user, caller.services.db, user_id)
    if new.key_id not in (None, PASSTHROUGH_KEY, *(key.id for key in keys)):
        raise Invalid("There is no such vendor key.", remedy="GET /keys lists yours.")
    said = {"usd": new.usd, "tokens": new.tokens, "hard": new.hard, "vendor": new.vendor, "key_id": new.key_id}
    made = await caller.ask(lambda: budgets.put(caller.services.db, user_id, now=caller.now, by_admin=by_admin, **said))  # type: ignore[arg-type]
    owner = {"user_id": user_id} if by_admin else {}
    return ExactJson(facts.of(made, now=caller.now) | owner, 201)


def _listed(found: list[Budget], now: datetime, more: Callable[[Budget], dict[str, Any]] = lambda _: {}) -> ExactJson:
    return ExactJson({"budgets": [facts.of(one, now=now) | more(one) for one in found]})
