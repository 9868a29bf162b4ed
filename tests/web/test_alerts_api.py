"""Alert rules by the API, and the way out of every mail."""

import pytest

from byok.accounts import alert_rules
from byok.accounts.alert_rules import Target, Terms
from byok.notify import schedules, unsubscribe
from byok.notify.unsubscribe import Subject
from tests.notify.receivers import Receiver


def post(home, body, person=None):
    return home.client.post("/alerts", json=body, headers=(person or home.ada).bearer)


def test_a_rule_is_added_tested_listed_and_removed(home):
    with Receiver() as receiver:
        home.services.settings = home.services.settings.model_copy(update={"slack_hosts": receiver.origin})
        made = post(home, {"channel": "webhook", "url": receiver.url, "min_tokens": 5, "quiet": "22:00-07:00"})
        assert made.status_code == 201, made.text
        rule = made.json()
        assert rule["signing_secret"].startswith("whs_") and rule["to"] == "127.0.0.1 …1234"
        test = home.client.post(f"/alerts/{rule['id']}/test", headers=home.ada.bearer)
        assert test.json() == {"sent": True, "result": "200"} and len(receiver.posts) == 1
        again = home.client.post(f"/alerts/{rule['id']}/test", headers=home.ada.bearer)
        assert (again.status_code, again.headers["retry-after"], len(receiver.posts)) == (429, "5", 1)
    listed = home.client.get("/alerts", headers=home.ada.bearer)
    (shown,) = listed.json()["alerts"]
    assert (shown["last"]["status"], shown["quiet"], shown["min_tokens"]) == ("sent", "22:00-07:00", 5)
    assert "secretpath" not in listed.text and "whs_" not in listed.text
    assert home.client.delete(f"/alerts/{rule['id']}", headers=home.ada.bearer).status_code == 204
    assert home.client.get("/alerts", headers=home.ada.bearer).json() == {"alerts": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"channel": "slack", "url": "https://169.254.169.254/latest"}, "webhook_not_allowed"),
        ({"channel": "slack", "url": "http://hooks.slack.com/x"}, "webhook_not_allowed"),
        ({"channel": "slack"}, "invalid_parameter"),
        ({"channel": "mail", "url": "https://hooks.slack.com/x"}, "invalid_parameter"),
        ({"channel": "mail", "address": "eve@example.org"}, "unknown_parameter"),
        ({"channel": "mail", "all_users": True}, "bad_request"),
        ({"channel": "mail", "model": "<!channel>"}, "bad_request"),
        ({"channel": "mail", "alert_at": 5, "silent_hours": 2}, "bad_request"),
        ({"channel": "mail", "quiet": "22-7"}, "bad_request"),
        ({"channel": "mail", "window": "day"}, "bad_request"),
        ({"channel": "mail", "alert_at": 5, "sensitivity": "strong"}, "bad_request"),
        ({"channel": "mail", "silent_hours": 2, "metric": "cost"}, "bad_request"),
        ({"channel": "pigeon"}, "invalid_parameter"),
    ],
    ids=str,
)
def test_what_is_refused(home, body, code):
    answer = post(home, body)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == code, answer.text
    assert "169.254" not in answer.text


def test_there_is_a_most_number_of_rules(home):
    codes = [post(home, {"channel": "mail"}).status_code for _ in range(51)]
    assert codes == [201] * 50 + [409]
    assert post(home, {"channel": "mail"}, home.bob).status_code == 201


def test_the_page_and_the_api_share_an_address(home):
    browser = home.signed_in(home.ada)
    assert browser.get("/alerts", headers={"accept": "text/html", "sec-fetch-mode": "navigate"}).text == "the dashboard at /alerts"
    assert browser.get("/alerts").status_code == 401


def test_one_click_ends_the_reports_of_that_user_only(home):
    db, master = home.services.db, home.services.master
    for person in (home.ada, home.bob):
        schedules.put(db, person.user.id, "week", tz="UTC", now=home.services.now())
    path = unsubscribe.address("", master, Subject("usr_ada1"))
    page = home.browser().get(path)
    assert page.status_code == 200 and "End them" in page.text
    assert schedules.of_user(db, "usr_ada1"), "whoever follows links changes nothing"
    assert home.browser().post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert schedules.of_user(db, "usr_ada1") is None and schedules.of_user(db, "usr_bob1")
    assert home.browser().post(path).status_code == 200


def test_a_rule_of_mails_is_ended_by_its_own_link(home):
    db, master = home.services.db, home.services.master
    rules = [alert_rules.add(db, master, "usr_ada1", Terms(), Target("mail"), now=home.services.now())[0] for _ in range(2)]
    path = unsubscribe.address("", master, Subject("usr_ada1", rules[0].id))
    assert home.browser().post(path).status_code == 200
    assert [rule.id for rule in alert_rules.of_user(db, "usr_ada1")] == [rules[1].id]


def test_a_token_that_we_did_not_sign_ends_nothing(home):
    db, master = home.services.db, home.services.master
    schedules.put(db, "usr_ada1", "week", tz="UTC", now=home.services.now())
    good = unsubscribe.token(master, Subject("usr_bob1"))
    forged = [
        good.replace("usr_bob1", "usr_ada1"),
        unsubscribe.token(bytes(32), Subject("usr_ada1")),
        "",
        "a.b",
        "usr_ada1..",
        "x" * 400,
        "ä..b",
    ]
    for token in forged:
        for method in ("GET", "POST"):
            assert home.browser().request(method, "/auth/unsubscribe", params={"token": token}).status_code == 404
    assert schedules.of_user(db, "usr_ada1")
