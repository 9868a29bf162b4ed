"""One palette: in Streamlit's configuration, in our charts, readable in both modes; and one look per entity."""

import tomllib
from itertools import combinations
from pathlib import Path

import pytest

from byok.ui import theme
from byok.ui.theme import DARK, LIGHT, OTHER, Palette, looks

CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())
MODES = pytest.mark.parametrize(("mode", "palette"), [("light", LIGHT), ("dark", DARK)])


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@MODES
def test_the_configuration_has_the_same_colours(mode: str, palette: Palette):
    section = CONFIG["theme"][mode]
    assert section["primaryColor"] == palette.primary
    assert section["backgroundColor"] == palette.background
    assert section["secondaryBackgroundColor"] == palette.surface
    assert section["textColor"] == palette.text
    assert section["borderColor"] == palette.border
    assert (section["redTextColor"], section["greenTextColor"]) == (palette.bad, palette.good)
    assert tuple(section["chartCategoricalColors"]) == palette.series
    assert CONFIG["theme"]["font"] == theme.FONT


@MODES
def test_text_and_marks_stand_out(mode: str, palette: Palette):
    for text in (palette.text, palette.muted, palette.bad, palette.good):
        assert contrast(text, palette.background) >= 4.5
    for mark in (*palette.series, palette.other):
        assert contrast(mark, palette.background) >= 3
    assert contrast("#FFFFFF", palette.primary) >= 4
    assert contrast(palette.primary, palette.background) >= 4.5


@MODES
def test_captions_stand_out_too(mode: str, palette: Palette):
    """Streamlit writes them in the text's colour at 60 %."""
    for ground in (palette.background, palette.surface):
        parts = [(int(palette.text[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5)]
        caption = "#" + "".join(f"{round(0.6 * text + 0.4 * below):02X}" for text, below in parts)
        assert contrast(caption, ground) >= 4.5


def test_nothing_is_told_to_the_outside_and_no_traceback_to_users():
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["client"]["showErrorDetails"] == "none"
    assert "://" not in (Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text()


def test_an_entity_looks_the_same_whatever_is_shown_with_it():
    names = [f"model-{number}" for number in range(20)]
    whole = looks(names)
    assert looks(list(reversed(names[:6]))).of("model-3") == looks(names[:6]).of("model-3")
    assert whole.of("model-3") == looks([*names, "new"]).of("model-3")


def test_no_two_of_24_entities_look_alike():
    names = [f"model-{number}" for number in range(24)]
    found = looks(names)
    assert all(found.of(one) != found.of(other) for one, other in combinations(names, 2))


def test_what_is_not_known_and_other_are_grey():
    assert looks(["a"]).of(OTHER) == looks(["a"]).of("nobody") == theme.OTHER_LOOK
