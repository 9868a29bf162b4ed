"""The forecast keeps its promise on months whose end is known; `python -m benchmarks forecast` asks many more."""

import itertools
from datetime import date

import numpy as np
import pytest

from benchmarks import forecast as bench
from benchmarks.forecast import Series
from tests.corpus import corpus

KINDS = ("steady", "runaway days", "few calls", "newcomers")


def score_of(sets: list[list[Series]]) -> bench.Score:
    return bench.score([asked for series in itertools.chain.from_iterable(sets) for asked in bench.back_test(series)])


@pytest.mark.slow
def test_simulated_months_end_within_the_range_and_nearer_to_the_middle_than_to_simpler_guesses():
    found = score_of([bench.simulated(kind, 3) for kind in KINDS])
    assert found.asked > 400
    assert 0.75 <= found.within <= 0.87
    assert found.middle <= 0.8 * min(found.last_month, found.straight_line)


@pytest.mark.slow
def test_so_do_months_made_of_real_traces():
    found = score_of([bench.of_traces(corpus("traces"), 6)])
    assert found.asked > 200
    assert 0.75 <= found.within <= 0.87
    assert found.middle <= 0.8 * min(found.last_month, found.straight_line)


def test_the_simpler_guesses_are_what_their_names_say():
    month = Series(date(2026, 1, 1), np.concatenate([np.full(31, 2.0), np.full(28, 4.0)]))
    asked = list(bench.back_test(month))
    assert len(asked) == len(bench.ASKED_ON)
    assert {one.last_month for one in asked} == {62}
    assert {one.straight_line for one in asked} == {112} == {one.true for one in asked}
