"""Records from a file into the table: checked, normalised, and each booked once however often the file is imported or the import killed.

A file is known by the SHA-256 of its bytes. Its rows go in by chunks, each one commit that also says "file F, round R, chunk N". A round
takes the rows of users that were known when it began; users that became known later get a round of their own.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from byok.recording import import_formats
from byok.recording.files import SCHEMA, regroup
from byok.recording.import_formats import FileUnreadable
from byok.recording.publisher import write_by_month
from byok.recording.table import Table
from byok.usage import COLUMN_NAMES, COLUMNS, ENDPOINTS, USAGE_SOURCES

CHUNK_ROWS = 500_000
_NUMBERS = tuple(column.name for column in COLUMNS if column.type in ("bigint", "integer", "smallint"))
_COUNTS = tuple(name for name in _NUMBERS if name != "status")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")  # types that need no second look
_MOST = 2**53 - 1  # of a count: what the gateway takes from a vendor at most, and what sums have room for
_MISSING_KEY = "key_imported"
_REFUSED = "refused"
_LONGEST_TEXT = 128  # beyond what any record's text may have: a small file can name a cell of megabytes in every row


class Imported(NamedTuple):
    """What one import did; `duplicates` were booked by an earlier import of the same bytes."""

    read: int = 0
    booked: int = 0
    duplicates: int = 0
    refused: int = 0


class Rounds(NamedTuple):
    """Remembers for a file, by its digest, whose rows each round takes: sets of hashed user ids."""

    load: Callable[[str], list[set[str]]]
    store: Callable[[str, list[set[str]]], None]


def import_file(
    path: Path,
    table: Table,
    rounds: Rounds,
    *,
    known_users: Callable[[set[str]], set[str]],
    still_known: Callable[[set[str]], set[str]],
    vendors: Collection[str],
    safe_model: Callable[[str], str],
    chunk_rows: int = CHUNK_ROWS,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Book the rows of a CSV, JSON Lines or Parquet file whose columns are the record's; missing optional columns are null.

    `known_users` says which of these ids exist (it may create them), `still_known` the same for each chunk, as a user may be erased
    meanwhile; `safe_model` gives the name to store for a model. Rows with an unknown
    user, vendor, endpoint or usage source or with a negative or unreadable number are refused and counted, and so are broken lines.
    Raises `FileUnreadable`.
    """
    digest = _digest(path)
    with _opened(path, vendors) as source, contextlib.closing(_one_ahead(regroup(source.rows(), chunk_rows))) as chunks:
        plan = _plan(rounds, digest, known_users(source.users()))
        total = Imported()
        for number, chunk in enumerate(chunks):
            good = _with_safe_models(chunk.filter(pc.invert(chunk[_REFUSED])).drop_columns([_REFUSED]), safe_model)
            booked, duplicates = _book(table, digest, plan, number, good, still_known)
            step = Imported(chunk.num_rows, booked, duplicates, chunk.num_rows - booked - duplicates)
            total = Imported(*(before + now for before, now in zip(total, step, strict=True)))
            progress(total.read)
        broken = source.broken_lines()
    return total._replace(read=total.read + broken, refused=total.refused + broken)


def _one_ahead(chunks: Iterator[pa.Table]) -> Generator[pa.Table]:
    """The same chunks, the next of which is read while one is booked."""
    with ThreadPoolExecutor(1, "import") as thread:
        following = thread.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = thread.submit(next, chunks, None)
            yield chunk


def _plan(rounds: Rounds, digest: str, known: set[str]) -> list[set[str]]:
    """The rounds of this file, with a new one for users that none of the earlier rounds took; remembered before anything is booked."""
    plan = rounds.load(digest)
    fresh = {_hashed(user) for user in known}.difference(*plan)
    if fresh:
        plan = [*plan, fresh]
        rounds.store(digest, plan)
    return plan


def _book(
    table: Table, digest: str, plan: list[set[str]], number: int, rows: pa.Table, still_known: Callable[[set[str]], set[str]]
) -> tuple[int, int]:
    """Commit one chunk, round by round; returns how many rows were booked now and how many earlier."""
    booked = duplicates = 0
    hashes = {user: _hashed(user) for user in pc.unique(rows["user_id"]).to_pylist()}
    for which, takes in enumerate(plan):
        mine = pa.array([user for user, hashed in hashes.items() if hashed in takes], pa.string())
        part = rows.filter(pc.is_in(rows["user_id"], mine))
        if not part.num_rows:
            continue
        app = f"import-{digest[:32]}-{which}"
        with table.writing():
            if table.snapshot([app]).done.get(app, -1) >= number:
                duplicates += part.num_rows
                continue
            there = still_known(set(mine.to_pylist()))  # asked under the lock: an erasure that comes later finds what is booked here
            if len(there) < len(mine):
                part = part.filter(pc.is_in(part["user_id"], pa.array(sorted(there), pa.string())))
            table.commit(write_by_month(table.directory, part), done={app: number})
            booked += part.num_rows
    return booked, duplicates


def _with_safe_models(rows: pa.Table, safe_model: Callable[[str], str]) -> pa.Table:
    encoded = rows["model"].combine_chunks().dictionary_encode()
    names = pa.array([safe_model(name) for name in encoded.dictionary.to_pylist()], pa.string())
    safe = names.take(encoded.indices)
    return rows.set_column(rows.schema.get_field_index("model"), SCHEMA.field("model"), safe)


class _Source:
    """The file as a DuckDB relation, whatever its format."""

    def __init__(self, path: Path, db: duckdb.DuckDBPyConnection, reader: str, vendors: Collection[str]) -> None:
        self._path, self._db, self._vendors = path, db, sorted(vendors)
        self._reader = reader
        self._types = {name.lower(): str(kind) for name, kind, *_ in self._run(f"describe select * from {reader}").fetchall()}  # noqa: S608
        import_formats.check_columns(path, self._types)
        import_formats.check_kinds(path, self._types)
        if reader.startswith("read_parquet"):
            ((longest,),) = self._run(f"select {import_formats.longest_cell(self._types)} from {reader}").fetchall()  # noqa: S608
            import_formats.check_longest(path, longest)

    def users(self) -> set[str]:
        found = self._run(f"select distinct {_text('user_id')} from {self._reader}").fetchall()  # noqa: S608
        import_formats.check_lines(self._path, self._db)
        return {user for (user,) in found if user}

    def broken_lines(self) -> int:
        """How many lines `rows` left out."""
        return import_formats.broken_lines(self._db)

    def rows(self) -> Iterator[pa.RecordBatch]:
        """SCHEMA plus the column `refused`, in the file's order."""
        values = ", ".join(f"{self._value(name)} as {name}" for name in COLUMN_NAMES)
        cast = f"select *, {values} from (select {self._raw()} from {self._reader})"  # noqa: S608
        query = f"select {self._stored()}, {self._refused()} as {_REFUSED} from ({cast})"  # noqa: S608
        allowed = {"vendors": self._vendors, "endpoints": list(ENDPOINTS), "sources": list(USAGE_SOURCES)}
        schema = SCHEMA.append(pa.field(_REFUSED, pa.bool_()))
        try:
            for batch in self._db.sql(query, params=allowed).to_arrow_reader(100_000):
                yield batch.cast(schema)
        except (duckdb.Error, pa.ArrowInvalid, OSError) as error:
            raise FileUnreadable(self._path, import_formats.said(error)) from None

    def _raw(self) -> str:
        return ", ".join(f"{name} as raw_{name}" if name in self._types else f"null as raw_{name}" for name in COLUMN_NAMES)

    def _value(self, name: str) -> str:
        if name == "ts":
            return "raw_ts::timestamptz" if self._types["ts"].startswith("TIMESTAMP") else "try_cast(raw_ts::varchar as timestamptz)"
        return f"try_cast(raw_{name} as bigint)" if name in _NUMBERS else _text(f"raw_{name}")

    def _stored(self) -> str:
        special = {
            "key_id": f"coalesce(key_id, '{_MISSING_KEY}')",
            "endpoint": "coalesce(endpoint, 'other')",
            "model": "coalesce(model, '')",
            "total_tokens": "coalesce(try_cast(prompt_tokens::hugeint + completion_tokens as bigint), total_tokens)",
            "usage_source": "coalesce(usage_source, case when coalesce(prompt_tokens, completion_tokens, total_tokens) is null "
            "then 'none' else 'vendor' end)",
            "status": "coalesce(try_cast(status as smallint), 0)",
            "latency_ms": "try_cast(latency_ms as integer)",
            "ttft_ms": "try_cast(ttft_ms as integer)",
        }
        return ", ".join(f"{special.get(name, name)} as {name}" for name in COLUMN_NAMES)

    def _refused(self) -> str:
        doubtful = [name for name in _NUMBERS if name in self._types and self._types[name] not in _WHOLE]
        unreadable = [f"(raw_{name} is not null and coalesce({name} <> try_cast(raw_{name} as double), true))" for name in doubtful]
        beyond = [f"coalesce({name} not between 0 and {_MOST}, false)" for name in _COUNTS]
        wrong = [
            "coalesce(ts not between timestamptz '2000-01-01 00:00:00Z' and timestamptz '9998-12-31 00:00:00Z', true)",
            "user_id is null",
            "coalesce(not list_contains($vendors, vendor), true)",
            "not list_contains($endpoints, coalesce(endpoint, 'other'))",
            "not list_contains($sources, coalesce(usage_source, 'vendor'))",
            f"not regexp_full_match(coalesce(key_id, '{_MISSING_KEY}'), 'key_[A-Za-z0-9_]{{1,64}}|passthrough')",
            "coalesce(status not between 100 and 999, true)",
            "coalesce(greatest(latency_ms, ttft_ms) > 2147483647, false)",
            f"coalesce(prompt_tokens::hugeint + completion_tokens > {_MOST}, false)",
        ]
        return " or ".join([*unreadable, *beyond, *wrong])

    def _run(self, query: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._db.execute(query)
        except (duckdb.Error, OSError) as error:
            raise FileUnreadable(self._path, import_formats.said(error)) from None


def _text(column: str) -> str:
    return f"left(try_cast({column} as varchar), {_LONGEST_TEXT})"


@contextlib.contextmanager
def _opened(path: Path, vendors: Collection[str]) -> Iterator[_Source]:
    db = duckdb.connect(config={"threads": 2, "memory_limit": "1GB", "autoinstall_known_extensions": False, "TimeZone": "UTC"})
    try:
        yield _Source(path, db, import_formats.relation(path), vendors)
    finally:
        db.close()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashed(user_id: str) -> str:
    """An erased id must not live on in what is remembered of a file."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:32]
