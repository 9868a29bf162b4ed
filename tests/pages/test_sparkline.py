"""The small chart of a card: its heights."""

from xml.etree import ElementTree

import pytest

from byok.ui import sparkline


def paths(values, kind):
    drawn = ElementTree.fromstring(sparkline.svg(values, kind, colour="#0B6BB8"))
    return [path.attrib["d"] for path in drawn]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0, 2, 4], "M0.0 35.0 120.0 18.0 240.0 1.0"),
        ([3], "M0.0 1.0 240.0 1.0"),
        ([0, 0], "M0.0 35.0 240.0 35.0"),
        ([1, -1], "M0.0 1.0 240.0 35.0"),
    ],
    ids=["from zero", "a single value", "nothing", "below zero"],
)
def test_an_area_stands_on_zero(values, line):
    assert paths(values, "area")[1] == line


def test_bars_stand_on_zero_and_fill_the_width():
    assert paths([4, 0], "bar")[1] == "M12.0 35.0V1.0h96.0V35.0zM132.0 35.0V35.0h96.0V35.0z"
