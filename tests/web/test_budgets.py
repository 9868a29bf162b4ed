"""Budgets over the API: one's own, and everybody's for admins."""

import pytest

from byok.accounts import budgets, key_vault


def test_a_budget_is_set_listed_replaced_and_removed(home):
    ask, bearer = home.client, home.ada.bearer
    made = ask.post("/budgets", json={"usd": "49.50", "vendor": "openai", "hard": True}, headers=bearer)
    assert made.status_code == 201
    body = made.json()
    assert (body["limit"], body["metric"], body["vendor"], body["hard"], body["by_admin"]) == (49.5, "usd", "openai", True, False)
    assert (body["spent"], body["share"], body["used_up"], body["counted_at"]) == (None, None, False, None)
    again = ask.post("/budgets", json={"usd": 60, "vendor": "openai"}, headers=bearer).json()
    assert (again["id"], again["limit"], again["hard"]) == (body["id"], 60, False)
    assert ask.get("/budgets", headers=bearer).json() == {"budgets": [again]}
    assert ask.delete(f"/budgets/{body['id']}", headers=bearer).status_code == 204
    assert ask.get("/budgets", headers=bearer).json() == {"budgets": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"usd": "1", "tokens": 1},
        {"usd": "0"},
        {"usd": "NaN"},
        {"tokens": 1.5},
        {"usd": "1", "vendor": "nobody"},
        {"usd": "1", "unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(home, body):
    answer = home.client.post("/budgets", json=body, headers=home.ada.bearer)
    assert answer.status_code == 400
    assert budgets.every(home.services.db) == []


def test_a_budget_for_somebody_elses_key_is_one_for_no_key(home):
    key = key_vault.add(home.services.db, home.services.master, home.ada.user.id, "openai", "sk-adas-secret-0001", now=home.services.now())
    said = [
        home.client.post("/budgets", json={"usd": "1", "key_id": one}, headers=home.bob.bearer) for one in (key.id, "key_0123456789abcdef")
    ]
    assert {answer.status_code for answer in said} == {400}
    assert said[0].content == said[1].content
    assert home.client.post("/budgets", json={"usd": "1", "key_id": key.id}, headers=home.ada.bearer).status_code == 201


def test_what_an_admin_sets_holds_for_the_user_who_sees_it_and_cannot_remove_it(home):
    body = {"user_id": home.ada.user.id, "tokens": 1000, "hard": True}
    made = home.client.post("/admin/budgets", json=body, headers=home.root.bearer).json()
    assert made["user_id"] == home.ada.user.id
    (seen,) = home.client.get("/budgets", headers=home.ada.bearer).json()["budgets"]
    assert (seen["id"], seen["by_admin"]) == (made["id"], True)
    assert home.client.delete(f"/budgets/{made['id']}", headers=home.ada.bearer).status_code == 404
    assert [one["id"] for one in home.client.get("/admin/budgets", headers=home.root.bearer).json()["budgets"]] == [made["id"]]
    assert home.client.delete(f"/admin/budgets/{made['id']}", headers=home.root.bearer).status_code == 204
    assert home.client.post("/admin/budgets", json={**body, "user_id": "usr_nobody1"}, headers=home.root.bearer).status_code == 404
