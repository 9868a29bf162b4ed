"""A key that its vendor refuses carries a mark until the vendor takes it again; the default can be moved while calls run."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from byok.accounts import key_vault
from byok.gateway import remembered
from tests.vendor import LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": []}
REFUSAL = Reply(401, body=b'{"error": {}}')


def openai_key(house: Any) -> key_vault.VendorKey:
    return next(key for key in key_vault.of_user(house.services.db, house.user.id) if key.vendor == "openai" and key.default)


def comes_true(holds: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_refused_key_is_marked_and_a_later_success_clears_the_mark(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = REFUSAL
    client.post(CHAT, json=QUESTION)
    assert comes_true(lambda: openai_key(house).refused_at is not None)
    vendor.script = Reply(500)
    client.post(CHAT, json=QUESTION)
    vendor.script = Reply(429)
    client.post(CHAT, json=QUESTION)
    time.sleep(0.3)
    assert openai_key(house).refused_at is not None, "neither says that the key is good"
    vendor.script = Reply()
    client.post(CHAT, json=QUESTION)
    assert comes_true(lambda: openai_key(house).refused_at is None)


def test_a_refusal_inside_a_200_marks_the_key_too(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=b'{"base_resp": {"status_code": 1004, "status_msg": "not authorised"}}')
    client.post(CHAT, json={"model": "minimax-m3", "messages": []})
    minimax = house.key_ids["minimax"]
    assert comes_true(lambda: any(key.id == minimax and key.refused_at for key in key_vault.of_user(house.services.db, house.user.id)))


def test_a_mark_of_another_process_is_cleared_as_well(house: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "FRESH_S", 0.1)
    key_vault.note_refused(house.services.db, openai_key(house).id, now=datetime.now(UTC))
    client.post(CHAT, json=QUESTION)
    assert comes_true(lambda: openai_key(house).refused_at is None)


def test_a_passed_through_key_marks_nothing(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = REFUSAL
    client.post(CHAT, json=QUESTION, headers={"x-byok-vendor-key": "sk-mine-000000"})
    time.sleep(0.3)
    assert [key.refused_at for key in key_vault.of_user(house.services.db, house.user.id)] == [None] * len(house.key_ids)


def test_the_default_moves_to_the_new_key_within_five_seconds(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    client.post(CHAT, json=QUESTION)
    new = key_vault.add(house.services.db, house.services.master, house.user.id, "openai", "sk-rotated-000000", now=datetime.now(UTC))
    assert not new.default
    key_vault.make_default(house.services.db, house.user.id, new.id)
    assert remembered.FRESH_S < 5
    patience = time.monotonic() + 5
    while vendor.seen[-1].header("authorization") != "Bearer sk-rotated-000000":
        assert time.monotonic() < patience
        time.sleep(0.2)
        client.post(CHAT, json=QUESTION)
    assert house.records()[-1].key_id == new.id
