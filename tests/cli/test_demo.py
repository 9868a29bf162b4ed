"""Sample data: the same days always hold the same calls, and there is something to find in them."""

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from byok import demo, settings
from byok.accounts import key_vault, users
from byok.pricing import catalogue
from byok.services import Services

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
USERS = {person.email: f"usr_demo{person.name}" for person in demo.PEOPLE}
KEYS = {(series.email, series.label): f"key_{index}" for index, series in enumerate(demo.SERIES)}


def calls(since: datetime, until: datetime) -> pa.Table:
    return demo.calls(NOW.date(), since, until, user_ids=USERS, key_ids=KEYS)


@pytest.fixture(scope="module")
def year() -> pa.Table:
    return calls(NOW - timedelta(days=demo.DAYS), NOW)


def ask(usage: pa.Table, query: str) -> list[tuple]:
    """Rows of a query over the table `usage`, in UTC."""
    with duckdb.connect() as db:
        db.register("usage", usage)
        db.execute("set TimeZone = 'UTC'")
        return db.execute(query).fetchall()


def test_a_year_of_several_users_vendors_models_and_keys(year):
    names = ("user_id", "vendor", "model", "key_id")
    counts = ", ".join(f"count(distinct {name})" for name in names)
    ((days, users_, vendors, models, keys),) = ask(year, f"select date_diff('day', min(ts), max(ts)), {counts} from usage")
    assert (days, users_, vendors, models) == (365, 6, 6, 9)
    assert keys >= 10
    assert 80_000 < year.num_rows < 250_000


def test_the_same_again_is_the_same(year):
    assert calls(NOW - timedelta(days=demo.DAYS), NOW).equals(year)


def test_what_is_added_later_is_what_would_have_been_there(year):
    cut = NOW - timedelta(days=2, hours=3)
    later = year.filter(pc.greater_equal(year["ts"], pa.scalar(cut, year["ts"].type)))
    assert calls(cut, NOW).equals(later)


def test_every_model_has_a_price(year):
    known = {(model.vendor, model.model) for model in catalogue.load().models() if model.prices}
    assert {(series.vendor, series.model) for series in demo.SERIES} <= known


def test_weekends_and_nights_are_quiet(year):
    days = dict(ask(year, "select isodow(ts), count(*) from usage where user_id = 'usr_demoAda' group by 1"))
    hours = dict(ask(year, "select hour(ts), count(*) from usage where user_id = 'usr_demoAda' group by 1"))
    assert days[6] < days[3] / 3
    assert hours.get(2, 0) < hours[10] / 5


def test_one_night_ran_away_and_one_afternoon_failed(year):
    (night,) = ask(year, "select ts::date, count(*) from usage where ts > '2026-11-01' group by 1 order by 2 desc limit 1")
    ((usual,),) = ask(year, "select median(n) from (select count(*) as n from usage group by ts::date)")
    assert night[0] == NOW.date() - timedelta(days=9)
    assert night[1] > 4 * usual
    statuses = dict(ask(year, "select status, count(*) from usage group by 1"))
    assert statuses[529] > 20
    assert statuses[401] > 10
    assert 0.95 < statuses[200] / year.num_rows < 0.99


def test_counts_are_null_exactly_where_nothing_was_reported(year):
    unknown = "(prompt_tokens is null, completion_tokens is null, total_tokens is null, usage_source = 'none')"
    found = ask(year, f"select distinct status in (200, 499), {unknown} from usage order by 1")
    assert found == [(False, (True,) * 4), (True, (False,) * 4)]


def test_nothing_is_filled_in_that_a_plan_does_not_keep(year):
    age = "date_diff('hour', min(ts), '2026-11-22 15:30:00Z'::timestamptz)"
    ((oldest,),) = ask(year, f"select {age} from usage where user_id = 'usr_demoFay'")
    assert 24 < oldest <= 7 * 24


@pytest.mark.slow
def test_filling_books_all_and_filling_again_adds_what_has_passed(installation, year):
    with Services(settings.load(installation.env)) as services:
        assert demo.is_sample(services.db)
        assert demo.fill(services, now=NOW) == year.num_rows
        assert demo.is_sample(services.db)
        keys = [key for user_id in USERS.values() for key in key_vault.of_user(services.db, user_id)]
        assert keys
        assert [key for key in keys if key.last_used_at is None or key.created_at >= key.last_used_at] == []
        assert demo.fill(services, now=NOW) == 0
        assert 0 < demo.fill(services, now=NOW + timedelta(days=1)) < 2000
        assert sum(file.rows for file in services.reader.view().files) > year.num_rows


def test_an_installation_of_somebody_is_not_filled(installation):
    with Services(settings.load(installation.env)) as services:
        users.add(services.db, "ada@example.org", now=NOW)
        assert not demo.is_sample(services.db)


def test_what_is_planted_is_there(year):
    """Each episode, by its name, in the column in which it is said to show."""
    users_of = {person.email: f"usr_demo{person.name}" for person in demo.PEOPLE}

    def day(number: int) -> str:
        return str(NOW.date() + timedelta(days=number))

    for episode in demo.EPISODES:
        first = day(episode.first_day)
        mine = f"from usage where user_id = '{users_of[episode.email]}' and"
        days = f"{mine} ts::date between '{first}' and '{day(episode.last_day)}'"
        around = f"{mine} abs(date_diff('day', ts::date, date '{first}')) between 2 and 20"
        if episode.shows_in == "tokens":
            ((inside,),) = ask(year, f"select sum(total_tokens) {days}")
            ((usual,),) = ask(year, f"select median(n) from (select sum(total_tokens) n {around} group by ts::date)")
            assert inside > 10 * usual, episode
        elif episode.shows_in == "status":
            ((inside,),) = ask(year, f"select avg((status in (401, 529))::int) {days}")
            ((usual,),) = ask(year, f"select avg((status in (401, 529))::int) {around}")
            assert inside > 0.02 and usual == 0, episode
        else:
            before, after = (
                {model for (model,) in ask(year, f"select distinct model {around} and ts::date {side} '{first}'")} for side in "<>"
            )
            assert before != after, episode


def test_lengths_and_limits_have_the_shapes_of_the_traces(year):
    spread = "stddev(ln(prompt_tokens)), stddev(ln(completion_tokens))"
    calm = "status = 200 and prompt_tokens between 20 and 150000"
    ((prompt, completion),) = ask(year, f"select {spread} from usage where user_id = 'usr_demoDora' and {calm}")
    assert (round(prompt, 1), round(completion, 1)) == (0.9, 0.9)
    ((code, _),) = ask(year, f"select {spread} from usage where user_id = 'usr_demoBen' and model = 'claude-sonnet-4-5' and {calm}")
    assert 1.2 < code < 1.45
    ((alone, after),) = ask(
        year,
        "select avg(limited), avg(limited) filter (where before = 1) from (select (status = 429)::int as limited, "
        "lag((status = 429)::int) over (partition by key_id, model order by ts) as before from usage)",
    )
    assert after > 10 * alone, "rate limits come in runs"


def test_a_price_changes_within_the_year(year):
    drafts = "model = 'deepseek-v4-flash'"
    ((first, last),) = ask(year, f"select min(ts), max(ts) from usage where {drafts}")
    prices = catalogue.load()
    before, after = (prices.price_at("deepseek", "deepseek-v4-flash", moment) for moment in (first, last))
    assert before != after


def test_the_share_of_cached_input_does_not_follow_the_clock(year):
    mine = "from usage where user_id = 'usr_demoBen' and cached_tokens > 0"
    by_hour = f"select sum(cached_tokens) / sum(prompt_tokens) as share {mine} group by hour(ts) having count(*) > 300"
    ((least, most),) = ask(year, f"select min(share), max(share) from ({by_hour})")
    assert most < 1.3 * least
