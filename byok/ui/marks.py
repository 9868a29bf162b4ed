"""Spikes on a chart over time: a diamond above the bar, the reason when one points at it, and in words below for those who cannot."""

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import streamlit as st

from byok import in_words, services
from byok.accounts import receipts
from byok.accounts.users import User
from byok.spikes.episodes import Episode, named
from byok.store.engine import Engine
from byok.ui import charts, session, spike_search, theme
from byok.ui.filters import Filters

_MOST_ROWS = 5_000_000  # everyone's spikes read all records of eight weeks: beyond this a page would wait for them
_MOST_SENTENCES = 3
_AGAIN, _HOUR = timedelta(seconds=1), timedelta(hours=1)
_OVER_DIAMOND = 24  # pixels from the top of a bar
_ABOVE = 1.04  # of the bar's height: the diamond does not sit on the bar


def of(engine: Engine, chosen: Filters) -> list[Episode] | None:
    """The spikes of a period, newest first; None while they are searched for (see `told`).

    None are there where keys or statuses are filtered (spikes are of all), or where it would take long.
    """
    rows = sum(file.rows for file in engine.view().files)
    if chosen.key_ids or chosen.statuses or (chosen.everyone and rows > _MOST_ROWS):
        return []
    found = spike_search.episodes(engine, chosen.scope, state=str(receipts.latest(services.current().db, 1)))
    return None if found is None else [episode for episode in found if episode.peak.hour + _HOUR > chosen.kept_from]


def marked(
    figure: Mapping[str, Any], episodes: Sequence[Episode] | None, buckets: Sequence[datetime], tops: Sequence[float], *, mode: str | None
) -> dict[str, Any]:
    """The figure with a diamond over each bucket in which a spike began. `tops` is how high the bars of the buckets reach."""
    by_bucket: dict[int, list[Episode]] = defaultdict(list)
    for episode in episodes or ():
        place = _bucket_of(episode.peak.hour, buckets)
        if place is not None:
            by_bucket[place].append(episode)
    if not by_bucket:
        return dict(figure)
    colours = theme.palette(mode)
    places = sorted(by_bucket)
    highest = max(tops, default=0.0)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "Spike",
        "x": [buckets[place].isoformat() for place in places],
        "y": [tops[place] + highest * (_ABOVE - 1) for place in places],
        "customdata": [["", _hover(by_bucket[place]), "", buckets[place].isoformat()] for place in places],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        "marker": {"symbol": "diamond", "size": 11, "color": colours.bad, "line": {"width": 1.5, "color": colours.background}},
        **charts.STEADY,
        "cliponaxis": False,
    }
    layout = dict(figure["layout"])
    if len(buckets) - 1 in by_bucket and "annotations" in layout:  # "so far" stands at the last bar: above its diamond
        layout["annotations"] = [note | {"yshift": _OVER_DIAMOND} if "yshift" in note else note for note in layout["annotations"]]
    return dict(figure) | {"data": [*figure["data"], trace], "layout": layout}


def told(user: User, episodes: Sequence[Episode] | None, chosen: Filters) -> None:
    """The newest spikes in words, below the chart; while they are searched for, a line that brings them by itself."""
    if episodes is None:
        _wait(user, chosen)
        return
    for episode in episodes[:_MOST_SENTENCES]:
        at = episode.peak.hour.astimezone(chosen.zone)
        st.caption(in_words.literal(f"◆ {at:%a} {in_words.day(at)}, {at:%H:%M} · {_name(episode)}: {episode.peak.why}"))
    if len(episodes) > _MOST_SENTENCES:
        st.caption(f"And {in_words.plural(len(episodes) - _MOST_SENTENCES, 'more spike')} in this period.")
    own = "each user's own clock" if chosen.everyone else f"your own clock ({user.tz})"
    if episodes and (chosen.everyone or user.tz != chosen.zone.key):
        st.caption(f"What is usual at which hour goes by {own}, all other times on this page by that of {chosen.zone.key}.")


@st.fragment(run_every=_AGAIN)
def _wait(user: User, chosen: Filters) -> None:
    session.still(user)
    if of(services.current().engine, chosen) is not None:
        st.rerun()
    st.caption(":material/search: Looking for spikes …")


def _hover(episodes: Sequence[Episode]) -> str:
    lines = [f"<b>{html.escape(_name(episode))}</b><br>{_wrapped(html.escape(episode.peak.why))}" for episode in episodes[:_MOST_SENTENCES]]
    more = len(episodes) - _MOST_SENTENCES
    return "<br>".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _name(episode: Episode) -> str:
    return episode.model or named(episode.vendor, "")


def _wrapped(sentence: str) -> str:
    return sentence.replace("; ", "<br>").replace(" (", "<br>(")


def _bucket_of(moment: datetime, buckets: Sequence[datetime]) -> int | None:
    places = [place for place, bucket in enumerate(buckets) if bucket <= moment]
    return places[-1] if places else None
