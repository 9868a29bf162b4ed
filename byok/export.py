"""An answer as CSV, JSON, JSON Lines or Parquet, piece by piece, with a word on what made it."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

import pyarrow as pa

from byok.errors import BadRequest
from byok.store import csv_json, parquet
from byok.store.scope import AnyScope

Format = Literal["csv", "json", "jsonl", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)
_HEAD = parquet.ABOUT.encode()


class FormatUnknown(BadRequest):
    """A format that is none of `FORMATS`."""

    code = "invalid_parameter"

    def __init__(self) -> None:
        super().__init__("The parameter format is not understood.", remedy=f"format: one of {', '.join(FORMATS)}")


def filters_of(scope: AnyScope) -> dict[str, Any]:
    """What a scope leaves in, for people who meet the file later: period, zone and filters. It names no user."""
    texts: dict[str, Any] = {"since": scope.since.isoformat(), "until": scope.until.isoformat(), "tz": scope.tz}
    lists = {"vendor": scope.vendors, "model": scope.models, "key_id": scope.key_ids, "status": scope.statuses}
    return texts | {name: list(values) for name, values in lists.items() if values}


def write(fmt: str, batches: Iterable[pa.RecordBatch], *, filters: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """Yield the bytes of a whole file in pieces. `batches` holds at least one batch, maybe an empty one: it names the columns.

    `filters` (see `filters_of`) stand in a Parquet file's metadata under `byok`; the other formats have no place that readers would skip.

    For what a cell looks like see `csv_json.write`. Raises `FormatUnknown` at once.
    """
    if fmt not in FORMATS:
        raise FormatUnknown
    return _pieces(fmt, iter(batches), json.dumps(filters or {}))


def file(fmt: str, answer: pa.Table) -> Iterator[bytes]:
    """A file of the answer to any question, in one of these formats but jsonl. What made it (see `with_head`) is named in it."""
    head = (answer.schema.metadata or {}).get(_HEAD, b"").decode()
    schema, batches = answer.schema.remove_metadata(), answer.to_batches()
    if fmt == "parquet":
        return parquet.write(schema, batches, about=head)
    before, after = _around(fmt, head)
    return itertools.chain(before, csv_json.write(fmt, schema, batches), after)


def with_head(answer: pa.Table, about: Mapping[str, str]) -> pa.Table:
    """The same answer with a word on what made it: lines with # before the header of a csv, an object around the rows (`filters`, `rows`)
    in json, metadata `byok` in parquet."""
    return answer.replace_schema_metadata({_HEAD: json.dumps(dict(about), ensure_ascii=False)})


def _around(fmt: str, head: str) -> tuple[list[bytes], list[bytes]]:
    """What stands before and behind the rows."""
    if not head:
        return [], []
    if fmt == "json":
        return [f'{{"filters": {head},\n"rows": '.encode()], [b"}\n"]
    lines = (f"# {name}: {' '.join(str(words).split())}" for name, words in json.loads(head).items())
    return [(csv_json.csv_text(line) + csv_json.CRLF).encode() for line in lines], []


def _pieces(fmt: str, batches: Iterator[pa.RecordBatch], about: str) -> Iterator[bytes]:
    first = next(batches)
    every = itertools.chain([first], batches)
    yield from parquet.write(first.schema, every, about=about) if fmt == "parquet" else csv_json.write(fmt, first.schema, every)
