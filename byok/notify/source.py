"""Where spikes come from: rows of the view `spikes`, as `alerts` and `reports` ask for them."""

from collections.abc import Iterable

from byok.notify.alerts import Spike, Spikes
from byok.notify.reports import SpikesOf
from byok.services import Services
from byok.store.scope import EveryonesScope, Scope


def spikes(services: Services) -> Spikes:
    """The rows of many users, for the check of alert rules."""

    def found(scope: EveryonesScope) -> Iterable[Spike]:
        return ()

    return found


def spikes_of(services: Services) -> SpikesOf:
    """The rows of one user, for a report."""

    def found(scope: Scope) -> Iterable[Spike]:
        return ()

    return found
