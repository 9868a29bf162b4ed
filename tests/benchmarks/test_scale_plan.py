"""The plan past one machine is arithmetic that can be checked."""

from benchmarks.scale import Costs, plan

COSTS = Costs(publish_us=10, merge_us=2, record_bytes=16)


def test_ten_times_the_calls_take_no_fewer_machines_and_ten_times_the_room():
    small, large = plan(100_000_000, COSTS), plan(1_000_000_000, COSTS)
    assert 10 * (small.machines - 1) < large.machines <= 10 * small.machines  # whole machines: of a last one a part may do
    assert large.gb_a_day == 10 * small.gb_a_day == 16
    assert large.puts > small.puts


def test_keepers_that_seldom_meet_lose_few_tries():
    assert plan(1_000_000, COSTS).retries == 0
    assert plan(1_000_000_000, COSTS).retries < 0.5
