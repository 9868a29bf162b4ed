"""Alert rules: yours, each with how its last message went; add, pause, remove, send a sample."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from byok.accounts import alert_rules
from byok.accounts.alert_rules import Rule
from byok.answers import ExactJson
from byok.api import answers, requests
from byok.api.caller import Invalid, Me
from byok.errors import NotFound, TooManyRequests
from byok.notify import delivery, listing

router = APIRouter(tags=["alerts"])


@router.get("/alerts", response_model=answers.Alerts)
async def list_alerts(me: Me, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Your alert rules; of a web address only host and last four characters."""
    rules = await me.ask(alert_rules.of_user, me.services.db, me.user.id)
    return ExactJson({"alerts": await me.ask(listing.rows, me.services.db, rules)})


@router.post("/alerts", response_model=answers.NewAlertFacts, status_code=201)
async def add_alert(me: Me, _: Annotated[requests.NoQuery, Query()], new: requests.NewAlert) -> ExactJson:
    """Add a rule: spikes, or a threshold, silence, first uses or budgets where one is named."""
    if (new.url is None) != (new.channel == "mail"):
        raise Invalid("`url` goes with slack and webhook, and with no other channel.", remedy="Mail goes to your own e-mail.")
    terms = listing.terms(**new.model_dump(exclude={"channel", "url"}))
    target = listing.target(me.services.settings, new.channel, new.url)
    rule, key = await me.ask(alert_rules.add, me.services.db, me.services.master, me.user.id, terms, target, now=me.now)
    return ExactJson({**listing.row(rule, None), "signing_secret": key.reveal() if key else None}, 201)


@router.delete("/alerts/{rule_id}", status_code=204)
async def remove_alert(me: Me, rule_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Remove a rule, with everything that is still to be sent by it."""
    if not await me.ask(alert_rules.remove, me.services.db, me.user.id, rule_id):
        raise _unknown()
    return Response(status_code=204, headers={"cache-control": "no-store"})


@router.post("/alerts/{rule_id}/pause", status_code=204)
async def pause_alert(me: Me, rule_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Let a rule rest: it tells nothing until it is resumed, and nothing of that time afterwards."""
    return await _set_paused(me, rule_id, True)


@router.post("/alerts/{rule_id}/resume", status_code=204)
async def resume_alert(me: Me, rule_id: str, _: Annotated[requests.NoQuery, Query()]) -> Response:
    """Let a rule that rests hold again, from now on."""
    return await _set_paused(me, rule_id, False)


@router.post("/alerts/{rule_id}/test", response_model=answers.Tested)
async def test_alert(me: Me, rule_id: str, _: Annotated[requests.NoQuery, Query()]) -> ExactJson:
    """Send a sample by a rule, once, and say what came of it."""
    rule = await me.ask(alert_rules.get, me.services.db, rule_id)
    if rule is None or rule.owner.id != me.user.id:
        raise _unknown()
    if not await me.ask(delivery.may_test, me.services.db, rule, now=me.now):
        raise _too_soon(rule)
    outcome = await me.ask(delivery.test, me.services, rule, now=me.now)
    return ExactJson({"sent": outcome.sent, "result": outcome.said})


async def _set_paused(me: Me, rule_id: str, paused: bool) -> Response:
    if not await me.ask(alert_rules.pause, me.services.db, me.user.id, rule_id, paused, now=me.now):
        raise _unknown()
    return Response(status_code=204, headers={"cache-control": "no-store"})


def _unknown() -> NotFound:
    return NotFound("You have no such alert rule.", remedy="GET /alerts lists yours.")


def _too_soon(rule: Rule) -> TooManyRequests:
    said = f"The last message to {rule.to} was sent a moment ago."
    return TooManyRequests(said, remedy="Wait five seconds.", retry_after_s=5)
