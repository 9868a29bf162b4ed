"""Where spikes come from: rows of the view `spikes`, as `alerts` and `reports` ask for them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from byok.services import Services
from byok.spikes.episodes import METRICS, Metric, Spike
from byok.spikes.judging import Sensitivity
from byok.store import unusual
from byok.store.recollection import Recollection
from byok.store.scope import AnyScope
from byok.store.watch import Watch

Spikes = Callable[[AnyScope], Iterable[Spike]]
_FLOORS: Mapping[Metric, str] = {"tokens": "min_tokens", "calls": "min_calls", "failed": "min_failed", "cost": "min_cost_usd"}
_NEVER = 1 << 60


def only(metric: Metric | None) -> Sensitivity:
    """What an hour must exceed in that metric alone (None: in any), so that it counts also where another one stands out even more."""
    others = {} if metric is None else {floor: _NEVER for name, floor in _FLOORS.items() if name != metric}
    return replace(unusual.DEFAULT, **others)


def spikes(services: Services, recollection: Recollection | None = None, *, metric: Metric | None = None) -> Spikes:
    """The rows of a scope, newest first; who asks the same again and again brings a recollection."""
    return lambda scope: unusual.spikes(services.engine, scope, sensitivity=only(metric), recollection=recollection)


def watches(services: Services) -> Mapping[Metric | None, Spikes]:
    """The same by metric (None: of any), for who asks again and again about the hours up to now."""
    return {metric: Watch(services.engine, spikes(services, Recollection(), metric=metric)) for metric in (None, *METRICS)}
