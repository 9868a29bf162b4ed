"""A user's locked process ends with what let the user in: sign-out, erasure of the records, disabling, erasure of the user."""

import time

import pytest

from byok import sql_sessions
from byok.accounts import users
from tests.web.conftest import csrf_of

QUERY = "select count(*) as n from usage"


@pytest.fixture
def ask(home):
    def asked(person) -> int:
        rows = sql_sessions.rows_of(home.services, person.user)
        return sql_sessions.pool(home.services).ask(person.user.id, QUERY, rows).rows["n"][0].as_py()

    yield asked
    sql_sessions.close(home.services)


def held(home) -> set[str]:
    return set(sql_sessions.pool(home.services).pids())


def test_sign_out_ends_it_at_once_and_only_ones_own(home, ask):
    ada, _ = home.signed_in(home.ada), home.signed_in(home.bob)
    assert (ask(home.ada), ask(home.bob)) == (5, 1)
    form = ada.get("/auth/sign-out")
    assert ada.post("/auth/sign-out", data={"csrf": csrf_of(form.text)}).status_code == 303
    assert held(home) == {home.bob.user.id}


def test_erasing_the_records_ends_it_and_the_next_answer_has_none(home, ask):
    home.signed_in(home.ada)
    assert ask(home.ada) == 5
    assert home.client.delete("/usage?confirm=true", headers=home.ada.bearer).status_code == 200
    assert held(home) == set()
    assert ask(home.ada) == 0


@pytest.mark.parametrize("how", ["disabled", "erased"])
def test_a_user_who_is_gone_loses_it_within_five_seconds(home, ask, how):
    home.signed_in(home.ada)
    assert ask(home.ada) == 5
    if how == "disabled":
        users.change(home.services.db, home.ada.user.id, disabled=True)
    else:
        users.remove(home.services.db, home.ada.user.id, now=home.services.now())
    end = time.monotonic() + 5
    while held(home) and time.monotonic() < end:
        time.sleep(0.1)
    assert held(home) == set()
