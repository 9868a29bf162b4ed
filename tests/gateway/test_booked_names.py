"""Names of models in records: an admin can vouch for one, and nobody can write a text into the column name by name."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from byok.accounts import allowed_models
from byok.gateway import booked_names, identity
from byok.gateway.booked_names import NAMES_A_DAY, BookedNames
from byok.gateway.routing import Routing
from byok.settings import load
from tests.vendor import LoopbackVendor, Reply, Seen

DAY = datetime(2026, 11, 22, 10, tzinfo=UTC)
CHAT = "/v1/chat/completions"


def names_of(*allowed: str, **parts: Any) -> BookedNames:
    parts.setdefault("now", lambda: DAY)
    return BookedNames(lambda: frozenset(allowed), **parts)


def echoed(names: BookedNames, name: str, user_id: str = "usr_ada1", vendor: str = "ollama") -> str:
    return names.booked(user_id, name, name, 200, vendor)


def test_a_user_brings_so_many_new_names_a_day_and_no_more() -> None:
    names = names_of()
    booked = [echoed(names, f"model-{number}") for number in range(NAMES_A_DAY + 50)]
    assert booked == [f"model-{number}" for number in range(NAMES_A_DAY)] + ["other"] * 50
    assert echoed(names, "model-7") == "model-7", "a name of today goes on"
    assert echoed(names, "model-x", "usr_ben1") == "model-x", "another user has names of his own"


def test_the_next_day_begins_anew() -> None:
    today = [DAY]
    names = names_of(now=lambda: today[0])
    for number in range(NAMES_A_DAY):
        echoed(names, f"model-{number}")
    assert echoed(names, "late") == "other"
    today[0] += timedelta(days=1)
    assert echoed(names, "late") == "late"


def test_names_of_the_catalogue_and_of_an_admin_are_not_counted() -> None:
    names = names_of("ours", "lab/theirs")
    for number in range(NAMES_A_DAY):
        echoed(names, f"model-{number}")
    assert echoed(names, "gpt-4o", vendor="openai") == "gpt-4o"
    assert echoed(names, "openai/gpt-4o", vendor="openrouter") == "openai/gpt-4o"
    assert echoed(names, "ours") == "ours"
    assert echoed(names, "theirs", vendor="lab") == "theirs"
    assert echoed(names, "theirs", vendor="ollama") == "other"


def test_spellings_of_a_catalogue_name_are_new_names() -> None:
    """Upper and lower case, and the digits of a snapshot, could spell anything."""
    names = names_of()
    spelled = [names.booked("usr_ada1", f"openai/gpt-4o-2{number:07}", None, 404, "together") for number in range(NAMES_A_DAY + 10)]
    assert spelled[-10:] == ["other"] * 10
    assert echoed(names, "openai/GPT-4o", vendor="together") == "other"


def test_all_users_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booked_names, "MOST_NAMES", 10)
    names = names_of()
    booked = [echoed(names, "model", f"usr_{number}") for number in range(12)]
    assert booked == ["model"] * 10 + ["other"] * 2


def test_processes_of_all_machines_share_the_bound() -> None:
    settings = load({"BYOK_GATEWAY_WORKERS": "8", "BYOK_GATEWAY_HOSTS": "8"}, config=Path("none.toml"))
    names = Routing(settings, SimpleNamespace(allowed_names=frozenset()))._names
    assert [echoed(names, f"model-{number}") for number in range(6)] == ["model-0", "model-1", "model-2", "model-3", "other", "other"]


def test_a_name_that_an_admin_allows_is_booked_within_five_seconds_and_never_before(
    house: Any, client: httpx.Client, vendor: LoopbackVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert identity.NAMES_EVERY_S < 5
    monkeypatch.setattr(identity, "NAMES_EVERY_S", 0.1)
    question = {"model": "openai/our-finetune", "messages": []}
    assert client.post(CHAT, json=question).status_code == 200
    assert [record.model for record in house.records()] == ["other"], "the vendor did not repeat the name"
    allowed_models.allow(house.services.db, "our-finetune", now=datetime.now(UTC))
    patience = time.monotonic() + 5
    while client.post(CHAT, json=question).status_code == 200 and house.records()[-1].model == "other":
        assert time.monotonic() < patience
        time.sleep(0.2)
    assert house.records()[-1].model == "our-finetune"
    vendor.script = Reply(404)
    client.post(CHAT, json=question)
    assert house.records()[-1].model == "other"


def test_what_was_allowed_holds_while_the_accounts_fail(house: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "NAMES_EVERY_S", 0.05)
    allowed_models.allow(house.services.db, "our-finetune", now=datetime.now(UTC))
    deadline = time.monotonic() + 5
    while not house.gateway._identity.allowed_names:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.post(CHAT, json={"model": "gpt-4o-mini", "messages": []})
    monkeypatch.setattr(type(house.services), "db", property(lambda _: 1 / 0))
    time.sleep(1.5)
    assert client.post(CHAT, json={"model": "openai/our-finetune", "messages": []}).status_code == 200
    assert house.records()[-1].model == "our-finetune"


def test_through_the_gateway_a_vendor_that_repeats_anything_fills_no_column(
    house: Any, client: httpx.Client, vendor: LoopbackVendor
) -> None:
    house.gateway._routing._names._a_day = 20

    def repeat(seen: Seen) -> Reply:
        return Reply(body=json.dumps({"model": json.loads(seen.body)["model"]}).encode())

    vendor.script = repeat
    for number in range(25):
        assert client.post(CHAT, json={"model": f"openai/word-{number}", "messages": []}).status_code == 200
    booked = [record.model for record in house.records()]
    assert (len(set(booked)), booked.count("other")) == (21, 5)


@pytest.mark.parametrize(
    ("requested", "answered"), [("gpt-4o", "x" * 5_000 + " y"), ("x" * 5_000, "gpt-4o"), ("gpt-4o", "sk-secret-of-a-model")]
)
def test_what_is_remembered_of_names_is_never_a_text_of_somebody_elses(requested: str, answered: str) -> None:
    names = names_of()
    assert names.booked("usr_ada1", requested, answered, 200, "openai") == "gpt-4o"
    assert names._usual == {}
    assert names.booked("usr_ada1", "gpt-4o", "gpt-4o-2024-08-06", 200, "openai") == "gpt-4o"
    assert len(names._usual) == 1
