"""What a search for unusual hours finds: one `Spike` per hour, and the `Episode` that hours in a row make."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

Metric = Literal["tokens", "calls", "failed", "cost"]
METRICS: tuple[Metric, ...] = get_args(Metric)
HOUR = timedelta(hours=1)
PAUSE = timedelta(hours=3)  # a spike that pauses for less is the same one


@dataclass(frozen=True, slots=True)
class Spike:
    """One row of the view `spikes`: an hour in which a user's calls of one model were far above usual, by its strongest metric.

    `model` is empty where it is all calls by a key (which `why` names), `vendor`, too, where it is all calls of the user.
    `actual` and `usual` are in the metric's unit (cost: USD); `times` is actual / usual, None where usual is 0; `score` is from 0.5 to 1.
    """

    hour: datetime
    user_id: str
    vendor: str
    model: str
    metric: Metric
    actual: float
    usual: float
    times: float | None
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One spike from begin to end. The figures and the sentence are those of its `peak`, the hour of the highest score.

    `ended` is the end of its last unusual hour; None as long as that hour or the pause after it may still go on.
    """

    user_id: str
    vendor: str
    model: str
    began: datetime
    ended: datetime | None
    peak: Spike
    hours: tuple[Spike, ...]

    @property
    def id(self) -> str:
        """The same for the same episode at every later look; made of nothing but opaque ids and the begin."""
        return f"{self.user_id}/{self.vendor}/{self.model}/{self.began:%Y%m%dT%HZ}"


def named(vendor: str, model: str) -> str:
    """What a series is of, in words.

    >>> named("openai", "gpt-4o"), named("openai", ""), named("", "")
    ('openai/gpt-4o', 'openai, all models', 'all models')
    """
    return f"{vendor}/{model}" if vendor and model else f"{vendor}, all models" if vendor else model or "all models"


def episodes(spikes: Iterable[Spike], *, now: datetime) -> list[Episode]:
    """The spikes as episodes, newest begin first: hours of one user, vendor and model with less than three quiet hours between them."""
    found = [_episode(hours, now) for hours in grouped(spikes, PAUSE)]
    return sorted(found, key=lambda episode: (episode.began, episode.id), reverse=True)


def grouped(spikes: Iterable[Spike], pause: timedelta) -> list[list[Spike]]:
    """Hours of one user, vendor and model that are at most `pause` apart, in order; by user, vendor, model and begin."""
    groups: list[list[Spike]] = []
    for spike in sorted(spikes, key=lambda one: (*_series(one), one.hour)):
        last = groups[-1][-1] if groups else None
        if last and _series(last) == _series(spike) and spike.hour - last.hour <= pause:
            groups[-1].append(spike)
        else:
            groups.append([spike])
    return groups


def _series(spike: Spike) -> tuple[str, str, str]:
    return spike.user_id, spike.vendor, spike.model


def _episode(hours: list[Spike], now: datetime) -> Episode:
    peak = max(hours, key=lambda spike: (spike.score, spike.actual))
    ended = hours[-1].hour + HOUR
    over = now >= hours[-1].hour + PAUSE + HOUR
    return Episode(*_series(peak), began=hours[0].hour, ended=ended if over else None, peak=peak, hours=tuple(hours))
