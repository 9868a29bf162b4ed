"""How columns of figures are written: nearly nothing is not nothing, and nearly all is not all."""

import pandas as pd
import pytest

from byok.ui.table import money_format, percent_format, seconds_format


@pytest.mark.parametrize(
    ("shares", "written"),
    [([60.0, 40.0], "%.0f %%"), ([99.6, 0.4], "%.1f %%"), ([99.97, 0.03], "%.2f %%"), ([100.0, 0.0, None], "%.0f %%"), ([], "%.0f %%")],
)
def test_shares(shares, written):
    assert percent_format(pd.Series(shares, dtype=float)) == written


def test_a_change_has_its_sign_and_what_is_nearly_gone_is_not_gone():
    assert percent_format(pd.Series([12.0, -50.0]), sign="+,") == "%+,.0f %%"
    assert percent_format(pd.Series([-99.6]), sign="+,") == "%+,.1f %%"


def test_milliseconds_are_not_nothing():
    assert seconds_format(pd.Series([0.41, 2.0]), 2) == "%.2f s"
    assert seconds_format(pd.Series([0.003, 2.0]), 1) == "%.3f s"


@pytest.mark.parametrize(("least", "written"), [(0.01, "$%,.2f"), (0.004, "$%,.4f"), (0.00002, "$%,.6f"), (1e-7, "$%,.9f")])
def test_the_least_amount_is_told_from_nothing(least, written):
    assert money_format(pd.Series([12.0, least, 0.0])) == written
