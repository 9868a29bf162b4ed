"""What a chart or table can show of calls: the word in the address, the title, how a value is read from a row of sums and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from byok import in_words

Row = Mapping[str, Any]
Value = int | float | Decimal


@dataclass(frozen=True)
class Measure:
    """`of` reads the value from a row (None: not known); `additive` says whether values of parts make that of the whole."""

    word: str
    title: str
    of: Callable[[Row], Value | None]
    write: Callable[[Any], str]
    additive: bool = True
    timing: bool = False  # of single calls, not of sums


def _share(part: str, whole: str) -> Callable[[Row], float | None]:
    return lambda row: row[part] / row[whole] if row[whole] else None


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


MEASURES: Mapping[str, Measure] = {
    measure.word: measure
    for measure in (
        Measure("cost", "Cost", _field("cost_usd"), in_words.money),
        Measure("tokens", "Tokens", _field("total_tokens"), in_words.count),
        Measure("calls", "Calls", _field("calls"), in_words.count),
        Measure("failures", "Failures", _field("failed"), in_words.count),
        Measure("error-rate", "Error rate", _share("failed", "calls"), in_words.percent, additive=False),
        Measure("p50", "Latency, median", _field("latency_p50_ms"), in_words.seconds, additive=False, timing=True),
        Measure("p95", "Latency, p95", _field("latency_p95_ms"), in_words.seconds, additive=False, timing=True),
        Measure("ttft", "First token, median", _field("ttft_p50_ms"), in_words.seconds, additive=False, timing=True),
        Measure("cached", "Cached input", _share("cached_tokens", "prompt_tokens"), in_words.percent, additive=False),
    )
}
WORDS = tuple(MEASURES)
SUMMED = tuple(word for word, measure in MEASURES.items() if measure.additive)
