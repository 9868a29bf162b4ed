"""Quiet hours of a rule: messages wait until they are over. Times of day are of the owner's zone."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from byok import zones
from byok.accounts.alert_rules import Rule

_DAY = timedelta(days=1)


def until(rule: Rule, now: datetime) -> datetime | None:
    """When the quiet hours in which `now` lies end; None outside of them. A time that comes twice that day ends them the first time."""
    if rule.terms.quiet_from is None or rule.terms.quiet_until is None:
        return None
    begin, end = time.fromisoformat(rule.terms.quiet_from), time.fromisoformat(rule.terms.quiet_until)
    here = now.astimezone(ZoneInfo(rule.owner.tz))
    clock = here.time().replace(tzinfo=None)
    quiet = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not quiet:
        return None
    ends = zones.moment(here.date() + (_DAY if clock >= end else timedelta(0)), end, rule.owner.tz)
    return ends if ends > now else None
