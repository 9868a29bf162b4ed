"""Alerts & reports: rules that are set, shown without their address, tested and removed; a schedule; a preview that runs nothing."""

import base64
from datetime import timedelta

import pytest

from byok import in_words
from byok.accounts import alert_rules, sessions, users
from byok.accounts.alert_rules import Target, Terms
from byok.accounts.key_vault import Secret
from byok.notify import episodes, findings, schedules
from tests.notify.receivers import MailServer, Receiver
from tests.pages.conftest import NOW
from tests.pages.reading import text_of

PAGE = "pages/alerts.py"
URL = "https://hooks.slack.com/services/T0/B0/canarypath9z8y"


def use(book, **settings) -> None:
    book.settings = book.settings.model_copy(update=settings)


def slack(book, user, url: str = URL):
    host = "hooks.slack.com"
    return alert_rules.add(book.db, book.master, user.id, Terms(), Target("slack", Secret(url), host), now=NOW)[0]


def field(app):
    return next(one for one in app.text_input if one.label == "Web address")


def test_a_rule_is_added_and_its_address_never_shown_again(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    assert "No rule yet" in text_of(app)
    field(app).set_value(URL)
    app.button(key="add-rule").click().run()
    (rule,) = alert_rules.of_user(book.db, ada.id)
    assert "hooks\\.slack\\.com …9z8y" in text_of(app)
    assert "canarypath" not in str(app)
    assert alert_rules.web_address(book.db, book.master, rule)[0].reveal() == URL


def test_an_address_elsewhere_is_refused_in_words(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    field(app).set_value("https://169.254.169.254/latest/meta-data")
    app.button(key="add-rule").click().run()
    assert "not one that webhooks may point to" in app.error[0].value
    assert alert_rules.of_user(book.db, ada.id) == [] and "169.254" not in str(app)


def test_a_threshold_and_silence_with_quiet_hours(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    app.segmented_control(key="rule-channel").set_value("mail")
    app.segmented_control(key="rule-kind").set_value("above").run()
    app.button(key="add-rule").click().run()
    assert "The threshold of this rule is not valid" in app.error[0].value
    app.selectbox(key="rule-metric-above").set_value("cost")
    app.number_input(key="rule-alert").set_value(50.0)
    app.toggle(key="rule-quiet").set_value(True).run()
    app.button(key="add-rule").click().run()
    (rule,) = alert_rules.of_user(book.db, ada.id)
    assert (rule.terms.kind, rule.terms.metric, rule.terms.alert_at, rule.terms.window) == ("above", "cost", 50.0, "day")
    assert (rule.terms.quiet_from, rule.terms.quiet_until, rule.to) == ("22:00", "07:00", "ada@example.org")
    app.segmented_control(key="rule-kind").set_value("silence").run()
    app.button(key="add-rule").click().run()
    assert {rule.terms.silent_hours for rule in alert_rules.of_user(book.db, ada.id)} == {None, 2}


def test_a_test_says_whether_it_arrived_and_a_rule_is_removed(book, ada, open_app):
    with Receiver() as receiver:
        use(book, slack_hosts=receiver.origin)
        rule = alert_rules.add(book.db, book.master, ada.id, Terms(), Target("slack", Secret(receiver.url), "127.0.0.1"), now=NOW)[0]
        app = open_app(ada, page=PAGE)
        app.button(key=f"test-{rule.id}").click().run()
        assert "The sample arrived" in app.success[0].value and len(receiver.posts) == 1
        app.button(key=f"test-{rule.id}").click().run()
        assert "wait five seconds" in app.error[0].value and len(receiver.posts) == 1
        receiver.script = lambda post, number: (410, {})
        book.now = lambda: NOW + timedelta(seconds=9)
        app.button(key=f"test-{rule.id}").click().run()
        assert "410" in app.error[0].value
        assert "refused (410)" in text_of(app)
    app.button(key=f"sure-{rule.id}").click().run()
    assert alert_rules.of_user(book.db, ada.id) == []


def test_nobody_removes_or_tests_a_rule_after_the_session_has_ended(book, ada, open_app):
    rule = slack(book, ada)
    app = open_app(ada, page=PAGE)
    sessions.end_others(book.db, ada.id, None)
    app.button(key=f"sure-{rule.id}").click().run()
    assert len(alert_rules.of_user(book.db, ada.id)) == 1


def test_everyone_sees_own_rules_and_messages_only(book, ada, open_app):
    bob = users.add(book.db, "bob@example.org", now=NOW)
    rule = slack(book, ada)
    episodes.tell(book.db, rule, [findings.sample(ada.id, NOW)], now=NOW)
    said = text_of(open_app(bob, page=PAGE))
    assert "9z8y" not in said and "Nothing was sent yet" in said
    assert "All users" not in [one.label for one in open_app(bob, page=PAGE).toggle]


def test_messages_are_listed_with_a_link_to_that_time(book, ada, open_app):
    episodes.tell(book.db, slack(book, ada), [findings.sample(ada.id, NOW)], now=NOW)
    frame = open_app(ada, page=PAGE).dataframe[0].value
    assert frame["state"].tolist() == ["pending"]
    assert "gpt-4o-mini: 1,234,567 tokens" in frame["about"][0] and "from=2026-11-22" in frame["chart"][0]


def test_what_the_rule_would_have_told(book, ada, open_app, record):
    use(book)
    for days in range(29):
        for hour in range(24):
            record(ada, ago=timedelta(days=days, hours=hour, minutes=40), prompt_tokens=5000, total_tokens=5000)
    for minute in range(30):
        record(ada, ago=timedelta(days=2, minutes=minute), prompt_tokens=90_000, total_tokens=90_000)
    said = text_of(open_app(ada, page=PAGE))
    assert "this rule would have told of **1 spike**" in said
    app = open_app(ada, page=PAGE)
    app.number_input(key="rule-min-tokens").set_value(50_000_000).run()
    assert "would have told of **0 spikes**" in text_of(app)


def test_an_admin_sees_whose_spikes_a_rule_for_all_would_have_told(book, ada, open_app, record):
    use(book)
    users.change(book.db, ada.id, admin=True)
    bob = users.add(book.db, "bob@example.org", now=NOW - timedelta(days=100), plan="team")
    for days in range(29):
        for hour in range(24):
            record(bob, ago=timedelta(days=days, hours=hour, minutes=40), prompt_tokens=5000, total_tokens=5000)
    for minute in range(30):
        record(bob, ago=timedelta(days=2, minutes=minute + 1), prompt_tokens=90_000, total_tokens=90_000)
    app = open_app(users.by_id(book.db, ada.id), page=PAGE)
    app.toggle(key="rule-all").set_value(True).run()
    assert "of **1 spike**" in text_of(app) and in_words.literal("bob@example.org · openai/gpt-4o-mini") in text_of(app)


@pytest.mark.parametrize(("least", "told"), [(0, "1 spike"), (3_000, "1 spike"), (4_000, "0 spikes")])
def test_the_least_number_of_tokens_counts_for_other_measures_too(book, ada, open_app, record, least, told):
    use(book)
    for days in range(29):
        for hour in range(24):
            record(ada, ago=timedelta(days=days, hours=hour, minutes=40), prompt_tokens=2000, total_tokens=2000)
    for minute in range(30):
        record(ada, ago=timedelta(days=2, minutes=minute + 1), prompt_tokens=50, total_tokens=50)
    app = open_app(ada, page=PAGE)
    app.selectbox(key="rule-metric").set_value("calls")
    app.number_input(key="rule-min-tokens").set_value(least).run()
    assert f"would have told of **{told}**" in text_of(app)


def test_a_schedule_is_saved_shown_and_stopped(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    assert "No mail server is set here" in app.warning[0].value
    app.segmented_control(key="report-period").set_value("day")
    app.selectbox(key="report-tz").set_value("Europe/Berlin")
    app.button(key="report-save").click().run()
    found = schedules.of_user(book.db, ada.id)
    assert (found.period, found.at, found.tz) == ("day", "08:00", "Europe/Berlin")
    assert "Every day at 08:00 (Europe/Berlin)" in text_of(app) and "Next: **Mon Nov 23, 08:00**" in text_of(app)
    app.button(key="report-stop").click().run()
    assert schedules.of_user(book.db, ada.id) is None and "No report is sent" in text_of(app)


def test_the_preview_is_a_frame_of_no_origin_that_loads_nothing(book, ada, open_app, record):
    record(ada, ago=timedelta(days=8), total_tokens=1_234_567)
    (frame,) = open_app(ada, page=PAGE).get("iframe")
    kind, _, text = frame.proto.src.partition(",")
    page = base64.b64decode(text).decode()
    assert kind == "data:text/html;base64"
    assert "1,234,567" in page and "default-src 'none'; style-src 'unsafe-inline'" in page


@pytest.mark.parametrize("answers", [[], ["550 no"]])
def test_a_report_is_sent_now_to_ones_own_address(book, ada, open_app, tmp_path, answers):
    from pydantic import SecretStr

    with MailServer(tmp_path) as server:
        server.answers = list(answers)
        use(book, smtp_url=SecretStr(server.url))
        app = open_app(ada, page=PAGE)
        app.button(key="report-now").click().run()
        if answers:
            assert "was not sent: 550" in app.error[0].value
            return
        assert [letter["to"] for letter in server.letters] == ["ada@example.org"] and app.success
        app.button(key="report-now").click().run()
        assert "wait half a minute" in app.error[0].value and len(server.letters) == 1


def test_an_admin_may_watch_all(book, open_app):
    root = users.add(book.db, "root@example.org", now=NOW, admin=True)
    app = open_app(root, page=PAGE)
    app.segmented_control(key="rule-channel").set_value("mail").run()
    app.toggle(key="rule-all").set_value(True).run()
    app.button(key="add-rule").click().run()
    assert alert_rules.of_user(book.db, root.id)[0].terms.all_users


def test_everybodys_many_records_are_searched_only_for_who_asks(book, open_app, monkeypatch):
    monkeypatch.setattr("byok.ui.alert_form._MOST_AT_ONCE", -1)
    app = open_app(users.add(book.db, "root@example.org", now=NOW, admin=True), page=PAGE)
    told = "In the last 30 days this rule would have told of"
    assert any(told in one.value for one in app.caption), "one's own are few"
    app.toggle(key="rule-all").set_value(True).run()
    assert not any(told in one.value for one in app.caption)
    app.button(key="rule-find-out").click().run()
    assert any(told in one.value for one in app.caption)
