"""Colours of the dashboard, and which colour an entity (a vendor, a model, a key) has on every page.

Series colours were measured: contrast of at least 3:1 on the page's ground, told apart under the three colour-vision deficiencies.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["light", "dark"]
OTHER, OTHER_WORD = "·other", "Other"  # the rest as a part, which is no name that a record can hold, and as pages write it
# Of our own: a Material icon as the page's icon would be fetched from another host.
MARK = str(Path(__file__).with_name("mark.svg"))
WORDMARK = str(Path(__file__).with_name("wordmark.svg"))
FONT = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', 'Source Sans', sans-serif"
# A second and third ring of entities repeats the colours with another fill, so that no two look alike.
_FILLS = ("", "/", "x", ".")


@dataclass(frozen=True)
class Palette:
    """The tokens of one mode, as in .streamlit/config.toml."""

    background: str
    surface: str
    border: str
    text: str
    muted: str
    primary: str
    series: tuple[str, ...]
    other: str
    bad: str
    good: str


LIGHT = Palette(
    background="#FFFFFF",
    surface="#F5F7FA",
    border="#DDE3EA",
    text="#0D1522",
    muted="#5B6675",
    primary="#0B6BB8",
    series=("#0B6BB8", "#C65102", "#00866A", "#8F2D7F", "#2E9BD6", "#5B4A00"),
    other="#8A94A3",
    bad="#C02032",
    good="#00795C",
)
DARK = Palette(
    background="#0E1420",
    surface="#171F2E",
    border="#2A3547",
    text="#E6EBF2",
    muted="#9AA7B8",
    primary="#2E80D8",
    series=("#4C9BE8", "#F28E2B", "#19B58A", "#E889C8", "#A8DBFF", "#F0DC6A"),
    other="#6C7788",
    bad="#FF7A85",
    good="#3CCB9A",
)


def palette(mode: Mode | str | None) -> Palette:
    return DARK if mode == "dark" else LIGHT


@dataclass(frozen=True)
class Look:
    """How an entity is drawn: its colour in either mode and its fill."""

    light: str
    dark: str
    fill: str = ""

    def colour(self, mode: Mode | str | None) -> str:
        return self.dark if mode == "dark" else self.light


OTHER_LOOK = Look(LIGHT.other, DARK.other)


@dataclass(frozen=True)
class Looks:
    """The looks of all entities of one kind; an unknown one is drawn as Other."""

    by_name: Mapping[str, Look] = field(default_factory=dict)

    def of(self, name: str) -> Look:
        return self.by_name.get(name, OTHER_LOOK)


def looks(names_by_size: Iterable[str]) -> Looks:
    """Give every entity its look, from the names of a user's whole kept time, largest first.

    The six largest share the plain colours, the next six the first fill, and so on. Within such a ring a name's own hash says which
    colour it prefers, so that the map depends on who is in the ring, and neither on their order nor on the period or filter shown.

    >>> looks(["a", "b"]).of("a") == looks(["b", "a"]).of("a")
    True
    """
    names = [name for name in dict.fromkeys(names_by_size) if name != OTHER]
    found: dict[str, Look] = {}
    size = len(LIGHT.series)
    for ring, start in enumerate(range(0, len(names), size)):
        fill = _FILLS[ring % len(_FILLS)]
        free = list(range(size))
        for name in sorted(names[start : start + size]):
            first = zlib.crc32(name.encode()) % size
            slot = next(at % size for at in range(first, first + size) if at % size in free)
            free.remove(slot)
            found[name] = Look(LIGHT.series[slot], DARK.series[slot], fill)
    return Looks(found)
