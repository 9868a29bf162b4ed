"""What is counted against a budget: exactly the month's records that it covers, live ones included, whatever happens to them later."""

import random
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from byok.accounts import budgets, tables, users
from byok.budgets.counting import AGAIN, AT_REST
from byok.pricing import overrides
from byok.pricing.files import Entry
from byok.pricing.overrides import Override
from tests.store.conftest import ADA, BOB

MTOK = {"prompt_tokens": 1_000_000, "completion_tokens": 0}  # of gpt-4o-mini: 0.15 USD


def put(office, user_id=ADA, **words):
    return budgets.put(office.db, user_id, now=office.world.now, **words)


def figured(office, budget):
    """The budget as it stands now."""
    return next(one for one in budgets.every(office.db) if one.id == budget.id)


def spent(office, budget):
    return figured(office, budget).spent(office.world.now)


def test_without_budgets_nothing_is_asked(office):
    office.counting._engine = None  # would fail
    office.count()


def test_each_budget_counts_what_it_covers(office, record):
    office.world.reader.publish(
        [
            record("2026-11-05T10:00:00Z", **MTOK),
            record("2026-11-06T10:00:00Z", vendor="anthropic", model="claude-haiku-4", key_id="key_two2", **MTOK),
            record("2026-11-06T10:00:00Z", BOB, **MTOK),
            record("2026-10-31T23:59:59Z", **MTOK),
        ]
    )
    office.world.reader.append([record("2026-11-22T11:59:59Z", key_id="key_two2", **MTOK)])
    everything, vendor = put(office, usd=Decimal(10)), put(office, usd=Decimal(10), vendor="openai")
    key, both = put(office, tokens=10**9, key_id="key_two2"), put(office, tokens=10**9, key_id="key_two2", vendor="openai")
    his = put(office, BOB, tokens=10**9)
    office.count()
    assert [spent(office, one) for one in (everything, vendor)] == [Decimal("1.10"), Decimal("0.30")]
    assert [spent(office, one) for one in (key, both, his)] == [2_000_000, 1_000_000, 1_000_000]


def test_calls_without_a_price_are_counted_as_such(office, record):
    office.world.reader.append([record("2026-11-22T11:00:00Z", model="unknown-1"), record("2026-11-22T11:00:00Z", **MTOK)])
    made = put(office, usd=Decimal(10))
    office.count()
    figure = figured(office, made).figure
    assert (figure.spent, figure.unpriced_calls) == (150_000_000, 1)


def test_a_zone_that_nobody_knows_any_more_stops_nobody_s_budget(office, record):
    with office.db.writing() as connection:
        connection.execute(sa.update(tables.users).where(tables.users.c.id == BOB).values(tz="right/UTC"))
    office.world.reader.publish([record("2026-11-05T10:00:00Z", **MTOK), record("2026-11-05T10:00:00Z", BOB, **MTOK)])
    made = put(office, tokens=10**9), put(office, BOB, tokens=10**9)
    office.count()
    assert [spent(office, one) for one in made] == [1_000_000, 1_000_000]


def test_the_month_is_that_of_the_users_zone(office, record):
    users.change(office.db, ADA, tz="Asia/Kolkata")
    office.world.reader.publish([record("2026-10-31T18:29:59Z", **MTOK), record("2026-10-31T18:30:00Z", **MTOK)])
    made = put(office, tokens=10**9)
    office.count()
    figure = figured(office, made).figure
    assert (figure.spent, figure.month, figure.month_ends.isoformat()) == (1_000_000, "2026-11", "2026-11-30T18:30:00+00:00")


def test_a_new_month_begins_at_nothing(office, record):
    made = put(office, tokens=1000, hard=True)
    office.world.reader.publish([record("2026-11-05T10:00:00Z", **MTOK)])
    office.count()
    assert budgets.stops(office.db, ADA, now=office.world.now)
    office.at("2026-12-01T00:00:01+00:00")
    assert not budgets.stops(office.db, ADA, now=office.world.now), "before anything is counted again"
    office.count()
    assert spent(office, made) == 0


def test_records_that_come_live_are_counted_at_once_and_older_ones_when_the_settled_hours_are_summed_again(office, record):
    made = put(office, tokens=10**9)
    office.count()
    office.world.reader.append([record(office.world.now - timedelta(minutes=59), **MTOK)])
    office.count()
    assert spent(office, made) == 1_000_000
    office.world.reader.publish([record("2026-11-03T00:00:00Z", **MTOK)])
    office.count()
    assert spent(office, made) == 1_000_000
    office.world.now += AGAIN
    office.count()
    assert spent(office, made) == 2_000_000


def test_counting_in_steps_is_counting_at_once(office, record):
    rng = random.Random(7)
    made, total = put(office, tokens=10**12), 0
    office.at("2026-11-01T00:00:00+00:00")
    for _ in range(40):
        office.world.now += timedelta(minutes=rng.choice((1, 9, 40, 300, 900)))
        late = timedelta(minutes=rng.choice((0, 1, 30)))
        tokens = rng.randrange(1, 10_000)
        if office.world.now - late >= office.world.now.replace(day=1, hour=0, minute=0):
            total += tokens
            (office.world.reader.append if rng.random() < 0.5 else office.world.reader.publish)(
                [record(office.world.now - late, prompt_tokens=tokens, completion_tokens=0)]
            )
        office.count()
        assert spent(office, made) == total


def test_what_a_short_plan_no_longer_keeps_stays_counted(office, record):
    bob = users.change(office.db, BOB, plan="free")
    office.keep(bob)
    made, total = put(office, BOB, tokens=10**12), 0
    office.at("2026-11-01T06:00:00+00:00")
    while office.world.now.day < 12:  # by then the first four days have gone
        total += 1000
        office.world.reader.append([record(office.world.now, BOB, prompt_tokens=1000, completion_tokens=0)])
        office.count()
        assert spent(office, made) == total
        office.world.now += timedelta(hours=5)


def test_calls_without_a_price_stay_counted_when_a_short_plan_no_longer_keeps_them(office, record):
    office.keep(users.change(office.db, BOB, plan="free"))
    made, total = put(office, BOB, usd=Decimal(10)), 0
    office.at("2026-11-01T06:00:00+00:00")
    while office.world.now.day < 12:
        total += 1
        office.world.reader.append([record(office.world.now, BOB, model="unknown-1")])
        office.count()
        assert figured(office, made).figure.unpriced_calls == total
        office.world.now += timedelta(hours=5)
    budgets.carry(office.db, BOB)
    office.world.reader.tail = office.world.reader.tail.slice(0, 0)  # erased
    office.count()
    assert figured(office, made).figure.unpriced_calls == total


def test_a_plan_that_is_made_shorter_takes_nothing_back(office, record):
    office.world.reader.publish([record("2026-11-02T00:00:00Z", **MTOK)])
    made = put(office, tokens=10**9)
    office.count()
    office.keep(users.change(office.db, ADA, plan="free"))
    office.world.now += timedelta(seconds=3)
    office.world.reader.append([record(office.world.now, **MTOK)])
    office.count()
    assert spent(office, made) == 2_000_000
    office.keep(users.change(office.db, ADA, plan="enterprise"))
    office.count()
    assert spent(office, made) == 2_000_000, "and nothing is counted twice when it is made longer again"


def test_erased_records_stay_counted_and_new_ones_count_on_top(office, record):
    path = office.world.reader.publish([record("2026-11-02T00:00:00Z", **MTOK)])
    made = put(office, tokens=10**9)
    office.count()
    budgets.carry(office.db, ADA)
    office.world.reader.drop(path)
    office.world.now += timedelta(seconds=3)
    office.count()
    office.world.reader.append([record(office.world.now, **MTOK)])
    office.count()
    assert spent(office, made) == 2_000_000


def test_a_broken_file_takes_nothing_back(office, record):
    path = office.world.reader.publish([record("2026-11-02T00:00:00Z", **MTOK)])
    made = put(office, tokens=10**9)
    office.count()
    path.write_bytes(b"broken")
    office.world.now += AGAIN
    office.count()
    assert spent(office, made) == 1_000_000


def test_a_price_that_is_corrected_is_counted_at_once_and_may_free_a_budget(office, record):
    office.world.reader.publish([record(office.world.now, **MTOK)])
    office.world.now += timedelta(hours=2)
    made, engine = put(office, usd=Decimal(100), hard=True), office.world.engine
    seen = []
    for rate in ("150", "0.15", "0.30"):
        entry = Entry(input=Decimal(rate), output=Decimal(1), source="a test")
        prices = overrides.applied(office.world.catalogue, [Override("openai", "gpt-4o-mini", office.world.now.date(), entry)])
        engine._catalogue_now = lambda prices=prices: prices
        office.world.now += timedelta(seconds=3)
        office.count()
        seen.append((spent(office, made), len(budgets.stops(office.db, ADA, now=office.world.now))))
    assert seen == [(Decimal(150), 1), (Decimal("0.15"), 0), (Decimal("0.30"), 0)]


def test_a_figure_at_rest_is_written_seldom_but_never_grows_old(office):
    made = put(office, tokens=10**9)
    office.count()
    first = figured(office, made).figure.counted_at
    office.world.now += timedelta(seconds=3)
    office.count()
    assert figured(office, made).figure.counted_at == first
    office.world.now += AT_REST
    office.count()
    assert figured(office, made).figure.counted_at == office.world.now
