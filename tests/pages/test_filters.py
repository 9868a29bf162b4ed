"""The filter bar: what an address means on each page that has it, and for whom."""

from datetime import UTC, date, datetime, timedelta

import pytest

from byok.accounts import users
from byok.ui import filters, names
from tests.pages.conftest import NOW
from tests.pages.reading import text_of


@pytest.fixture
def root(book):
    return users.add(book.db, "root@example.org", now=NOW - timedelta(days=40), plan="team", admin=True)


@pytest.fixture
def both(book, ada, root, record):
    """One call of an admin, two of somebody else, one too old for the latter's plan."""
    record(root, model="gpt-4o", key_id="key_root1")
    record(ada, key_id="key_ada1")
    record(ada, status=429, key_id="key_ada1", ago=timedelta(hours=2))
    record(ada, ago=timedelta(days=31))


def calls(app) -> str:
    return app.metric[1].value


def test_today_is_that_of_the_zone_also_where_it_is_tomorrow_in_utc(book, ada, record, open_app):
    book.now = lambda: datetime(2026, 11, 22, 19, 0, tzinfo=UTC)  # 00:45 of the 23rd in Kathmandu
    record(ada, ago=timedelta(hours=-4, minutes=-20))  # at 18:50 UTC
    app = open_app(ada, range="custom", tz="Asia/Kathmandu", **{"from": "2026-11-23", "to": "2026-11-23"})
    assert not app.exception
    assert calls(app) == "1"


def test_an_admin_sees_own_calls_until_asking_for_others(both, root, open_app):
    app = open_app(root)
    assert calls(app) == "1"
    assert "as an admin" not in text_of(app)


@pytest.mark.parametrize(
    ("words", "seen", "said"),
    [
        (["everyone"], "3", "You see everyone's calls, as an admin."),
        (["ada"], "2", "You see the calls of 1 user, as an admin."),
        (["ada", "root"], "3", "You see the calls of 2 users, as an admin."),
    ],
)
def test_an_admin_asks_for_others_and_is_told_so(both, root, open_app, words, seen, said):
    app = open_app(root, user=words)
    assert said in text_of(app)
    assert calls(app) == seen


def test_a_link_may_name_the_id(both, ada, root, open_app):
    assert calls(open_app(root, user=[ada.id])) == "2"


def test_of_a_user_who_is_not_there_nothing_is_asked(both, root, open_app):
    assert calls(open_app(root, user=["usr_nobody"])) == "1"


def test_by_user_names_people(both, root, open_app):
    app = open_app(root, user=["everyone"], by="user")
    assert app.dataframe[0].value["name"].tolist() == ["root", "ada"]


def test_nobody_but_an_admin_can_ask_for_others(both, ada, root, open_app):
    for word in ("everyone", "root", root.id):
        app = open_app(ada, user=[word], by="user")
        assert calls(app) == "2"
        assert "as an admin" not in text_of(app)
        assert "root" not in str([box.options for box in app.multiselect])


def test_an_admin_who_is_none_any_more_sees_own_calls_at_the_next_click(both, book, root, open_app):
    app = open_app(root, user=["everyone"])
    users.change(book.db, root.id, admin=False)
    assert calls(app.run()) == "1"


def test_a_period_of_everyone_reaches_as_far_as_the_longest_plan(both, root, open_app):
    assert calls(open_app(root, user=["everyone"], range="90d")) == "3"  # the month-old call is hidden for its own plan's sake


def test_weekdays_are_compared_with_weekdays(ada, record, open_app):
    record(ada)
    record(ada, ago=timedelta(days=7, hours=1))
    app = open_app(ada, range="24h", cmp="dow")
    assert "compared with the same weekdays a week before" in text_of(app)
    assert app.metric[1].delta == "0"
    assert open_app(ada, range="24h").metric[1].delta == ""  # nothing in the 24 h before


def test_nothing_is_compared_where_nothing_is_asked(ada, record, open_app):
    record(ada)
    record(ada, ago=timedelta(days=7, hours=1))
    app = open_app(ada, cmp="off")
    assert [card.delta for card in app.metric] == [""] * 4
    assert "compared with" not in text_of(app)


def test_ranges_beyond_the_plan_are_explained(book, record, open_app):
    grace = users.add(book.db, "grace@example.org", now=NOW, plan="free")
    record(grace)
    (period,) = [control for control in open_app(grace).segmented_control if control.key == "range"]
    assert "Your plan keeps 7 days: 30d, 90d can show no more than that." in period.help


def test_words_of_people():
    assert names.person_words([("usr_a", "usr_b@x.example"), ("usr_b", "everyone@x.example")]) == {
        "usr_a": "usr_b@x.example",
        "usr_b": "everyone@x.example",
    }


def parsed(user, **values):
    return filters.parse(values, user, names.Names(), now=NOW, browser_zone=None)


def controls(app) -> set[str | None]:
    return {control.key for control in [*app.multiselect, *app.selectbox]}


def test_closed_filters_are_those_that_say_something(ada, record, open_app):
    record(ada)
    said = {"vendor": ["openai"], "cmp": "off", "by2": "model", "tz": "Asia/Tokyo"}
    assert controls(open_app(ada)) == set()
    assert controls(open_app(ada, cmp="prev", tz="UTC", state={"grain": "auto", "model": []})) == {"cmp", "tz"}  # as the address says them
    assert controls(open_app(ada, **said)) == controls(open_app(ada, state=said)) == {"vendor", "cmp", "by2", "tz"}
    every = {"vendor", "model", "key", "status", "cmp", "grain", "by2", "tz"}
    assert controls(open_app(ada, **said, state={"filters": True})) == controls(open_app(ada, state={"filters": True})) == every


def test_what_was_said_before_its_control_was_drawn_comes_into_the_address(ada, record, open_app):
    record(ada)
    said = {
        "vendor": ["openai"],
        "grain": "hour",
        "tz": "Asia/Tokyo",
        "range": "custom",
        "from": date(2026, 11, 2),
        "to": date(2026, 11, 3),
    }
    address = open_app(ada, state=said).query_params
    assert address.items() >= {"vendor": "openai", "grain": "hour", "tz": "Asia/Tokyo", "from": "2026-11-02", "to": "2026-11-03"}.items()


def test_a_choice_differs_from_every_other(ada):
    choices = [
        {},
        {"by": "key"},
        {"by2": "model"},
        {"cmp": "off"},
        {"metric": "p95"},
        {"vendor": ["a"]},
        {"range": "30d"},
        {"tz": "Asia/Tokyo"},
    ]
    assert len({parsed(ada, **choice).fingerprint for choice in choices}) == len(choices)


def test_a_second_level_is_not_the_first(ada):
    assert parsed(ada, by="model", by2="model").by2 is None
    assert parsed(ada, by="model", by2="vendor").by2 == "vendor"
    assert parsed(ada, by="user", by2="user").by == "vendor"


@pytest.mark.parametrize(
    ("word", "value"), [("vendor", "nobody"), ("model", "gpt-0"), ("key", "retired-9f3a"), ("key", "key_gone1234"), ("status", "503")]
)
def test_a_link_to_what_is_not_there_any_more_says_so_instead_of_showing_all_the_rest(ada, record, open_app, word, value):
    record(ada)
    app = open_app(ada, **{word: [value]})
    assert "Nothing matches" in text_of(app)
    assert not app.metric


def test_a_link_can_put_no_words_into_the_bar(ada, record, open_app):
    record(ada)
    app = open_app(ada, vendor=["Your account is closed, call 555"])
    assert calls(app) == "1"
    assert "closed" not in text_of(app)
