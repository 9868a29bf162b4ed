"""What is on screen as a file: exactly the values drawn, with the filters that made them named in it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from byok.store.scope import words_of
from byok.ui.explored import Answer, values_of
from byok.ui.filters import Filters
from byok.ui.measures import MEASURES
from byok.ui.names import Names
from byok.ui.periods import Grain, written
from byok.ui.theme import OTHER, OTHER_WORD

# A column of the file by the word of its measure, as the API names it where it has one.
COLUMNS: Mapping[str, str] = {
    "cost": "cost_usd",
    "tokens": "total_tokens",
    "failures": "failed",
    "error-rate": "error_rate",
    "p50": "latency_p50_ms",
    "p95": "latency_p95_ms",
    "ttft": "ttft_p50_ms",
    "cached": "cached_share",
}


def rows(answer: Answer, metric: str, grain: Grain) -> pa.Table:
    """One row per bucket and part: the bucket as the API writes it, the columns of the parts (Other for the rest), the value."""
    measure = MEASURES[metric]
    kind = pa.decimal128(38, 9) if metric == "cost" else pa.int64() if measure.additive or measure.timing else pa.float64()
    buckets = [written(bucket, grain) for bucket in answer.series.buckets]
    found: dict[str, list[Any]] = {name: [] for name in (grain, *answer.columns, COLUMNS.get(metric, metric))}
    for part in answer.series.parts:
        values = values_of(part.name, answer.columns) if part.name != OTHER else [OTHER_WORD] * len(answer.columns)
        for bucket, value in zip(buckets, part.values, strict=True):
            row = (bucket, *values, Decimal(value) if metric == "cost" and value is not None else value)
            for column, cell in zip(found.values(), row, strict=True):
                column.append(cell)
    columns = list(found)
    fields = [(name, pa.string() if name != columns[-1] else kind) for name in columns]
    return pa.table(found, schema=pa.schema(fields))


def about(chosen: Filters, names: Names, metric: str) -> dict[str, str]:
    """What made the values, in words: for the head of a file and for a reader."""
    levels = " and ".join(filter(None, (chosen.by, chosen.by2)))
    said = {
        "shows": f"{metric} by {levels}, per {chosen.grain}",
        "period": f"{chosen.period.since.isoformat()} to {chosen.period.until.isoformat()} ({chosen.zone.key})",
        "vendor": ", ".join(chosen.vendors),
        "model": ", ".join(chosen.models),
        "key": ", ".join(names.shown("key_id", key_id) for key_id in chosen.key_ids),
        "status": ", ".join(words_of(chosen.statuses)),
        "user": ", ".join(names.shown("user_id", user_id) for user_id in chosen.user_ids) or ("everyone" if chosen.everyone else ""),
    }
    return {name: words for name, words in said.items() if words}
