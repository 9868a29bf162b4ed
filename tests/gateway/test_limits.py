"""Limits of a user: never more calls than allowed in any minute or at once, refused in the caller's format, counted and never booked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byok.accounts import users
from byok.gateway.limits import WINDOW_S, Limits, RateLimited, TooManyAtOnce
from tests.vendor import LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": []}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": []}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.25

    def __call__(self) -> float:
        return self.now


def begin(limits: Limits, user_id: str = "usr_ada1", a_minute: int | None = None, at_once: int | None = None) -> None:
    with limits.call(user_id, a_minute, at_once):
        pass


# -- the counting alone --


def test_nothing_is_limited_or_remembered_by_default() -> None:
    limits = Limits()
    for _ in range(10_000):
        begin(limits)
    assert len(limits) == 0


@given(limit=st.integers(1, 5), waits=st.lists(st.floats(0, 40), max_size=60))
def test_no_minute_ever_has_more_calls_than_allowed(limit: int, waits: list[float]) -> None:
    clock = Clock()
    limits, begun = Limits(limit, clock=clock), []
    for wait in waits:
        clock.now += wait
        try:
            begin(limits)
            begun.append(clock.now)
        except RateLimited as error:
            assert 1 <= error.retry_after_s <= WINDOW_S + 1
            assert sum(at > clock.now - WINDOW_S - 1 for at in begun) >= limit, "refused with room to spare"
    for at in begun:
        assert sum(at - WINDOW_S < other <= at for other in begun) <= limit


@given(limit=st.integers(1, 5), waits=st.lists(st.floats(0, 20), min_size=5, max_size=40))
def test_who_comes_back_when_told_is_let_in(limit: int, waits: list[float]) -> None:
    clock = Clock()
    limits = Limits(limit, clock=clock)
    for wait in waits:
        clock.now += wait
        try:
            begin(limits)
        except RateLimited as error:
            clock.now += error.retry_after_s
            begin(limits)


def test_a_refused_call_does_not_count() -> None:
    clock = Clock()
    limits = Limits(1, clock=clock)
    begin(limits)
    for _ in range(WINDOW_S):
        clock.now += 1
        with pytest.raises(RateLimited):
            begin(limits)
    clock.now += 1
    begin(limits)


def test_one_user_s_calls_are_not_another_s() -> None:
    limits = Limits(1, 1, clock=Clock())
    begin(limits, "usr_ada1")
    begin(limits, "usr_ben1")
    with pytest.raises(RateLimited):
        begin(limits, "usr_ada1")


@pytest.mark.parametrize(("own", "allowed"), [(None, 3), (0, 50), (1, 1), (5, 5)])
def test_a_user_s_own_limit_replaces_the_usual_one(own: int | None, allowed: int) -> None:
    limits, done = Limits(3, clock=Clock()), 0
    while done < 50:
        try:
            begin(limits, a_minute=own)
        except RateLimited:
            break
        done += 1
    assert done == allowed


def test_open_calls_are_counted_until_they_end_however_they_end() -> None:
    limits = Limits(calls_at_once=2)
    with ExitStack() as open_calls:
        for _ in range(2):
            open_calls.enter_context(limits.call("usr_ada1", None, None))
        with pytest.raises(TooManyAtOnce) as refused:
            begin(limits)
        assert refused.value.retry_after_s == 1
    with pytest.raises(ZeroDivisionError), limits.call("usr_ada1", None, None):
        _ = 1 / 0
    with ExitStack() as open_calls:
        for _ in range(2):
            open_calls.enter_context(limits.call("usr_ada1", None, None))


def test_processes_share_a_limit_rounded_up() -> None:
    limits = Limits(10, processes=4, clock=Clock())
    for _ in range(3):
        begin(limits)
    with pytest.raises(RateLimited, match="More than 10 requests"):
        begin(limits)


def test_users_are_forgotten_a_minute_after_their_last_call_has_ended() -> None:
    clock = Clock()
    limits = Limits(1_000_000, clock=clock)
    for number in range(1000):
        begin(limits, f"usr_{number}")
    with limits.call("usr_open", None, None):
        clock.now += WINDOW_S + 1
        begin(limits, "usr_late")
        limits.forget_old()
        assert len(limits) == 2, "the one with an open call and the one who came just now"
    clock.now += WINDOW_S + 1
    limits.forget_old()
    assert len(limits) == 0


def test_what_is_remembered_of_a_busy_user_does_not_grow_with_the_calls() -> None:
    clock = Clock()
    limits = Limits(1_000_000, clock=clock)
    for _ in range(20_000):
        clock.now += 0.01
        begin(limits)
    (use,) = limits._uses.values()
    assert len(use.seconds) <= WINDOW_S + 1


# -- in front of a vendor --


def limited(house: Any, **limits: int) -> None:
    users.change(house.services.db, house.user.id, **limits)


FORMATS = [
    (CHAT, QUESTION, lambda error: (error["type"], error["code"])),
    ("/v1/messages", MESSAGE, lambda error: (error["type"], error["code"])),
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", {}, lambda error: (error["status"], error["details"][0]["reason"])),
]


@pytest.mark.parametrize(("path", "question", "told"), FORMATS, ids=["openai", "anthropic", "gemini"])
def test_the_call_too_many_is_a_429_in_the_caller_s_format(
    house: Any, client: httpx.Client, vendor: LoopbackVendor, path: str, question: dict[str, Any], told: Any
) -> None:
    limited(house, requests_per_minute=2)
    assert [client.post(path, json=question).status_code for _ in range(2)] == [200, 200]
    refused = client.post(path, json=question)
    assert refused.status_code == 429
    assert 59 <= int(refused.headers["retry-after"]) <= 61
    kind = {"/v1/messages": "rate_limit_error", CHAT: "rate_limit_error"}.get(path, "RESOURCE_EXHAUSTED")
    assert told(refused.json()["error"]) == (kind, "rate_limited")
    assert (len(vendor.seen), len(house.records())) == (2, 2)
    assert 'byok_refused_total{code="rate_limited"} 1.0' in client.get("/metrics").text


def test_what_reaches_no_vendor_is_not_limited(house: Any, client: httpx.Client) -> None:
    limited(house, requests_per_minute=1)
    assert client.post(CHAT, json=QUESTION).status_code == 200
    for path in ("/v1/models", "/v1/models/gpt-4o-mini", "/healthz"):
        assert [client.get(path).status_code for _ in range(3)] == [200] * 3
    assert client.post(CHAT, json=QUESTION).status_code == 429


def test_calls_at_once_are_bounded_and_the_place_of_one_that_ended_is_free(
    house: Any, client: httpx.Client, vendor: LoopbackVendor
) -> None:
    limited(house, calls_at_once=2)
    go = threading.Event()

    def wait(_: Any) -> Reply:
        return Reply(delay_s=0 if go.is_set() else 1.5)

    vendor.script = wait
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(client.post, CHAT, json=QUESTION) for _ in range(2)]
        assert vendor.wait_until(lambda v: len(v.seen) == 2)
        refused = client.post(CHAT, json=QUESTION)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_at_once")
        assert refused.headers["retry-after"] == "1"
        assert [call.result().status_code for call in slow] == [200, 200]
    go.set()
    assert client.post(CHAT, json=QUESTION).status_code == 200
    assert len(house.records()) == 3


def test_a_client_that_leaves_gives_its_place_back(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    limited(house, calls_at_once=1)
    vendor.script = Reply(body=[b'{"id":', b"1}"], between_s=1.0)
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=QUESTION, timeout=0.3)
    assert [record.status for record in house.wait_for_records(1)] == [499]
    vendor.script = Reply()
    assert client.post(CHAT, json=QUESTION).status_code == 200


def test_the_settings_limit_whoever_has_no_limit_of_his_own(tmp_path: Any, make_house: Any, serve_house: Any) -> None:
    with make_house(tmp_path, BYOK_REQUESTS_PER_MINUTE="1") as house, serve_house(house):
        question = {"model": "echo-1", "messages": []}
        answers = [httpx.post(house.url + CHAT, json=question, headers=house.bearer).status_code for _ in range(2)]
        assert answers == [200, 429]


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_the_connection_of_a_refused_call_goes_on(house: Any, client: httpx.Client, vendor: LoopbackVendor, size: int) -> None:
    limited(house, requests_per_minute=1)
    question = QUESTION | {"user": "x" * size}
    assert [client.post(CHAT, json=question).status_code for _ in range(4)] == [200, 429, 429, 429]
    assert client.get("/healthz").status_code == 200
    assert len(vendor.seen) == 1
