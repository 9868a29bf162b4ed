"""Numbers, money and times in words. A value that is not known is a dash, never a zero."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import takewhile

DASH = "—"
_BIG = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
_ADDRESS = re.compile(r"https?(?=://)|www(?=\.)", re.IGNORECASE)  # how what GitHub's Markdown makes a link of begins
Number = int | float | Decimal
_HALF_A_CENT = Decimal("0.005")


def money(usd: Number | None) -> str:
    """USD with as many decimals as the amount deserves.

    >>> money(None), money(0), money(Decimal("0.00042")), money(12.346), money(123456), money(411_526_799)
    ('—', '$0.00', '$0.00042', '$12.35', '$123,456', '$411.5M')
    """
    if usd is None:
        return DASH
    amount = Decimal(str(usd))
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if amount == 0:
        return "$0.00"
    if amount < Decimal("0.01"):
        places = min(9, 1 - amount.adjusted())  # two digits that say something
        rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
        return f"{sign}${rounded:f}" if rounded else f"{sign}<$0.000000001"
    if amount < 10_000:
        return f"{sign}${amount:,.2f}"
    if amount >= 100_000_000:  # in full it would not fit into a card
        return f"{sign}${amount / 1_000_000:,.1f}M"
    return f"{sign}${amount:,.0f}"


def dollars(usd: Number) -> str:
    """The same with the unit in letters, for lines that a terminal or a client shows.

    >>> dollars(50), dollars(Decimal("-0.0042"))
    ('50.00 USD', '-0.0042 USD')
    """
    return f"{money(usd).replace('$', '')} USD"


def cents(usd: Number) -> str:
    """USD with cents whatever the amount, so that amounts stand in columns; what is no more than half a cent is not nothing.

    >>> cents(Decimal("12345.5")), cents(Decimal("0.005")), cents(0)
    ('$12,345.50', '<$0.01', '$0.00')
    """
    return "<$0.01" if 0 < usd <= _HALF_A_CENT else f"${usd:,.2f}"


def count(number: Number | None) -> str:
    """A whole number with comma groups.

    >>> count(1234567), count(None)
    ('1,234,567', '—')
    """
    return DASH if number is None else f"{int(number):,}"


def short(number: Number | None) -> str:
    """A large number in at most four digits and a letter.

    >>> short(9999), short(12345), short(999_950), short(1_500_000), short(None)
    ('9,999', '12.3K', '1M', '1.5M', '—')
    """
    if number is None:
        return DASH
    value = int(number)
    if abs(value) < 10_000:
        return f"{value:,}"
    for size, letter in _BIG:
        scaled = value / size
        if abs(scaled) >= 0.9995:  # less is written in the next smaller unit without becoming 1000 of it
            digits = 0 if abs(scaled) >= 99.95 else 1
            return f"{scaled:.{digits}f}".removesuffix(".0") + letter
    return f"{value:,}"


def percent(share: float | None, places: int | None = None) -> str:
    """A share of one as per cent, with as many decimals as it deserves, or always as many as `places` says.

    >>> percent(0.5), percent(0.0123), percent(0.00004), percent(12.34), percent(None)
    ('50 %', '1.2 %', '<0.1 %', '1,234 %', '—')
    >>> percent(1), percent(0.9951), percent(0.99996)
    ('100 %', '99.5 %', '>99.9 %')
    >>> percent(0.0123, 0), percent(0.5, 1), percent(0.996, 0), percent(0.0004, 1)
    ('1 %', '50.0 %', '>99 %', '<0.1 %')
    """
    if share is None:
        return DASH
    value = share * 100
    if places is not None:
        return _fixed(value, places)
    if 0 < abs(value) < 0.1:
        return "<0.1 %"
    if 99.5 <= value < 100:  # almost all is not all
        return f"{value:.1f} %" if value < 99.9 else ">99.9 %"
    return f"{value:,.0f} %" if abs(value) >= 10 or value == 0 else f"{value:.1f} %"


def _fixed(value: float, places: int) -> str:
    """So many decimals, but what is not nothing is never written as 0, and what is not all never as 100."""
    rounded, step = round(value, places), 10**-places
    if rounded == 0 < value:
        return f"<{step:.{places}f} %"
    return f">{100 - step:.{places}f} %" if rounded == 100 > value else f"{value:,.{places}f} %"


def seconds(ms: Number | None) -> str:
    """A duration in seconds, from milliseconds.

    >>> seconds(3), seconds(412), seconds(12_300), seconds(125_000), seconds(None)
    ('0.003 s', '0.41 s', '12.3 s', '125 s', '—')
    """
    if ms is None:
        return DASH
    value = float(ms) / 1000
    if 0 < value < 0.01:
        return f"{value:.3f} s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def size(number: int) -> str:
    """Bytes in the unit that suits.

    >>> size(999), size(12_345), size(1_580_000_000)
    ('999 B', '12.3 kB', '1.6 GB')
    """
    for unit, least in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= least:
            return f"{number / least:,.1f} {unit}"
    return f"{number} B"


def change(now: Number | None, before: Number | None) -> float | None:
    """How much `now` differs from `before`, as a share of it: more is above 0, also where both are below. None if that cannot be said.

    >>> change(3, 2), change(-3, -2), change(1, 0)
    (0.5, -0.5, None)
    """
    if now is None or before is None or not before:
        return None
    share = float(now) / float(before) - 1
    return share if before > 0 else -share


def signed_percent(share: float) -> str:
    """A change as the delta of a card: a leading ASCII sign, which is what turns the arrow. Only what is gone has lost 100 %.

    >>> signed_percent(0.123), signed_percent(-0.5), signed_percent(24)
    ('+12 %', '-50 %', '+2,400 %')
    >>> signed_percent(-0.996), signed_percent(-0.99996), signed_percent(0.0002)
    ('-99.6 %', '-99.9 %', '+<0.1 %')
    """
    sign, value = "-" if share < 0 else "+", abs(share) * 100
    if share < 0 and 99.5 <= value < 100:
        return f"-{min(value, 99.9):.1f} %"
    return f"{sign}{value:,.0f} %" if value >= 10 else f"{sign}<0.1 %" if 0 < value < 0.05 else f"{sign}{value:.1f} %"


def ago(span: timedelta) -> str:
    """How long ago, in one unit.

    >>> ago(timedelta(seconds=12)), ago(timedelta(minutes=90)), ago(timedelta(days=3))
    ('12 s ago', '1 h ago', '3 days ago')
    """
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600} h ago"
    days = seconds // 86_400
    return f"{days} day ago" if days == 1 else f"{days} days ago"


def day(moment: datetime, *, year: bool = False) -> str:
    """A day in words, such as Nov 22 or Nov 22, 2026."""
    text = f"{moment:%b} {moment.day}"
    return f"{text}, {moment.year}" if year else text


def minute(moment: datetime) -> str:
    """Day and time of day, such as Nov 22, 14:03."""
    return f"{day(moment)}, {moment:%H:%M}"


def plural(number: int, noun: str) -> str:
    """A number and its noun.

    >>> plural(1, "call"), plural(2000, "call")
    ('1 call', '2,000 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def cell(value: object) -> str:
    """A stored value as the files have it: times in UTC with microseconds, a value that is not known as null."""
    if value is None:
        return "null"
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else str(value)


def fitted(name: str, most: int = 28) -> str:
    """A long name for a narrow place: without what stands before its last slash, then without its middle: names that begin alike differ
    at their ends.

    >>> fitted("gpt-4o-mini"), fitted("meta-llama/llama-3.3-70b-instruct"), fitted("a-model-with-a-very-long-name-28-preview", 24)
    ('gpt-4o-mini', '…/llama-3.3-70b-instruct', 'a-model-…name-28-preview')
    """
    if len(name) <= most:
        return name
    last = name.rpartition("/")[2]
    if last != name and len(last) + 2 <= most:
        return f"…/{last}"
    return f"{last[: most // 3]}…{last[-(most - most // 3 - 1) :]}"


def told_apart(names: Sequence[str], most: int = 28) -> list[str]:
    """Names for a narrow place as `fitted`; those that would look the same then show the place where they begin to differ.

    >>> told_apart(["gpt-4o", "lab/a-model-one-of-many-preview-x", "lab/a-model-two-of-many-preview-x"], 16)
    ['gpt-4o', '…odel-one-of-ma…', '…odel-two-of-ma…']
    """
    short = [fitted(name, most) for name in names]
    times = Counter(short)
    alike = {one: [name for name, other in zip(names, short, strict=True) if other == one] for one in times if times[one] > 1}
    begin = {one: sum(1 for _ in takewhile(lambda signs: len(set(signs)) == 1, zip(*group, strict=False))) for one, group in alike.items()}
    return [_around(name, begin[one], most) if one in begin else one for name, one in zip(names, short, strict=True)]


def _around(name: str, place: int, most: int) -> str:
    start = min(max(0, place - most // 3), max(0, len(name) - most + 1))
    end = start + most - 2
    return f"{'…' if start else ''}{name[start:end]}{'…' if end < len(name) else ''}"


def literal(text: str) -> str:
    """Text of a user for a place that reads Markdown: every mark of it escaped, line breaks gone, no address a link. What is written
    from right to left leaves the order of what stands beside it alone.

    >>> literal("a*b")
    'a\\\\*b'
    """
    plain = _ADDRESS.sub("\\g<0>\N{WORD JOINER}", " ".join(text.split()))  # a link is made of what escapes have become
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", plain)
    leftward = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in plain)
    return f"\N{FIRST STRONG ISOLATE}{escaped}\N{POP DIRECTIONAL ISOLATE}" if leftward else escaped
