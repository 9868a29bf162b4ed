"""Setting prices, for the command line and the dashboard alike: into the accounts, unless a day that is over would be priced anew."""

from collections.abc import Sequence
from datetime import datetime

from byok.accounts import price_overrides
from byok.accounts.price_overrides import Stored
from byok.gateway.models import is_storable
from byok.pricing import catalogue, overrides
from byok.pricing.overrides import Override
from byok.services import Services


def book(services: Services, new: Sequence[Override], *, now: datetime, dry_run: bool = False) -> None:
    """Set these prices, all or none; every process has them with its next question. Raises `PastPrice`."""
    known = overrides.read(price_overrides.every(services.db))
    after = overrides.applied(catalogue.load(), [*known, *new])
    overrides.refuse_past(services.catalogue, after, {(one.vendor, one.model) for one in new}, now=now)
    if not dry_run:
        price_overrides.add(services.db, [Stored(one.vendor, one.model, one.since, one.as_json()) for one in new], now=now)


def is_name(vendor: str, model: str) -> bool:
    """Whether records could hold these words as vendor and model."""
    return vendor.isascii() and 0 < len(vendor) <= 40 and "/" not in vendor and is_storable(model)
