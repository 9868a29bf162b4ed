"""Where spikes come from: rows of the view `spikes`, as `alerts` and `reports` ask for them."""

from collections.abc import Callable, Iterable

from byok.services import Services
from byok.spikes.episodes import Spike
from byok.store import unusual
from byok.store.recollection import Recollection
from byok.store.scope import AnyScope
from byok.store.watch import Watch

Spikes = Callable[[AnyScope], Iterable[Spike]]


def spikes(services: Services, recollection: Recollection | None = None) -> Spikes:
    """The rows of a scope, newest first; who asks the same again and again brings a recollection."""
    return lambda scope: unusual.spikes(services.engine, scope, recollection=recollection)


def watch(services: Services) -> Spikes:
    """The same for who asks again and again about the hours up to now."""
    return Watch(services.engine, spikes(services, Recollection()))
