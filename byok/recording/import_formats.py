"""How a file to be imported is read: its format is told by its first bytes, not by its name.

A line of CSV or JSON Lines that is broken costs itself, not the file. What DuckDB says of it is never shown: it repeats the line.
"""

import csv
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import duckdb

from byok.errors import BadRequest
from byok.usage import COLUMN_NAMES

REQUIRED = ("ts", "user_id", "vendor", "model", "status")
MOST_BROKEN_LINES = 10_000  # each is remembered until the end: a file with more of them is not what it is taken for
_KEPT = "ignore_errors = true, store_rejects = true, rejects_table = 'broken', rejects_scan = 'looks'"
_OPEN_QUOTE = "select min(line) from broken where error_type = 'UNQUOTED VALUE' and contains(csv_line, chr(10))"
_COUNT = "select count(distinct line) from broken where scan_id = (select max(scan_id) from looks)"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,39}")
_PATTERN = re.compile(r"[\[*?]")  # to DuckDB `usage[1].csv` is the file `usage1.csv`
_LONGEST_HEADER = 65_536
_LONGEST_LINE = 16 << 20  # bytes; beyond 32 MB DuckDB passes over a line of CSV in silence
_PIECE = 1 << 20
_LARGEST_CELL = 131_072  # bytes; a record's text has 128 at most
_LENGTHS = {"VARCHAR": "strlen", "BLOB": "octet_length"}
_REPEATED = re.compile(r""""[^"]*"|'[^']*'|(?<=, but got ).*""")  # of DuckDB's words: a path, a cell
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


class FileUnreadable(BadRequest):
    code = "file_unreadable"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name} cannot be imported: {reason}.",
            remedy=f"Give CSV with a header, JSON Lines or Parquet whose columns are: {', '.join(COLUMN_NAMES)}.",
        )


def relation(path: Path) -> str:
    """The file in words of DuckDB's SQL. Raises `FileUnreadable`."""
    name = "'" + _PATTERN.sub(r"[\g<0>]", str(path)).replace("'", "''") + "'"
    with path.open("rb") as file:
        head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise FileUnreadable(path, "it is empty")
    if head.startswith(b"PAR1"):
        return f"read_parquet({name}, hive_partitioning = false)"
    if head[:1] in (b"{", b"["):
        if head[:1] == b"{":
            _check_line_lengths(path)
        columns = ", ".join(f"{column}: 'varchar'" for column in COLUMN_NAMES)
        layout = "'newline_delimited', ignore_errors = true" if head[:1] == b"{" else "'array'"
        return f"read_json({name}, format = {layout}, columns = {{{columns}}})"
    _check_line_lengths(path)
    return _csv(path, name)


def check_kinds(path: Path, kinds: Mapping[str, str]) -> None:
    """Raise `FileUnreadable` if cells of a column (kinds as DuckDB names them) hold lists or the like: deep ones are never done with."""
    if nested := [name for name, kind in kinds.items() if kind.endswith("]") or kind.startswith(_NESTED)]:
        raise FileUnreadable(path, f"it has columns whose cells hold more than one value ({_few(nested)})")


def longest_cell(kinds: Mapping[str, str]) -> str:
    """SQL for the bytes of the longest text in these columns (kinds as DuckDB names them). In Parquet it costs a look at dictionaries."""
    lengths = [f"max({_LENGTHS[kind]}({name}))" for name, kind in kinds.items() if kind in _LENGTHS]
    return f"greatest(0, {', '.join(lengths)})" if lengths else "0"


def check_longest(path: Path, longest: int) -> None:
    """Raise `FileUnreadable` if that is beyond all reason: a text of megabytes, which a few bytes put into every row, costs gigabytes."""
    if longest > _LARGEST_CELL:
        raise FileUnreadable(path, f"it has a cell of {longest:,} bytes")


def said(error: Exception) -> str:
    """What is wrong with the file, in DuckDB's words, without what they repeat of it."""
    return _REPEATED.sub("…", str(error).split("\n", 1)[0]).strip().rstrip(".")[:200]


def check_columns(path: Path, names: Collection[str]) -> None:
    """Raise `FileUnreadable` if a record has no such column, or has one that it cannot do without."""
    if not set(names) & set(COLUMN_NAMES):
        raise FileUnreadable(path, "none of its columns is one of a record; its header may be missing")
    if missing := set(REQUIRED) - set(names):  # what is there may be the cells of a first row: not repeated
        raise FileUnreadable(path, f"it lacks columns ({_few(missing)})")
    if strangers := set(names) - set(COLUMN_NAMES):
        raise FileUnreadable(path, f"it has columns that no record has ({_few(strangers)})")


def check_lines(path: Path, db: duckdb.DuckDBPyConnection) -> None:
    """After a first look at a CSV: raise `FileUnreadable` if its lines cannot be told apart, or too many are broken."""
    if not _is_kept(db):
        return
    ((opened,),) = db.execute(_OPEN_QUOTE).fetchall()
    if opened is not None:
        raise FileUnreadable(path, f"line {opened:,} opens a quotation mark that nothing closes")
    if broken_lines(db) > MOST_BROKEN_LINES:
        raise FileUnreadable(path, f"more than {MOST_BROKEN_LINES:,} of its lines have other columns than its header")


def broken_lines(db: duckdb.DuckDBPyConnection) -> int:
    """How many lines of a CSV the last look at it left out."""
    if not _is_kept(db):
        return 0
    ((count,),) = db.execute(_COUNT).fetchall()
    return int(count)


def _csv(path: Path, name: str) -> str:
    above, names, delimiter = _header(path)
    check_columns(path, names)
    if len(set(names)) < len(names):
        raise FileUnreadable(path, "its header names a column twice")
    columns = ", ".join(f"{column}: 'varchar'" for column in names)
    layout = f"auto_detect = false, header = true, skip = {above}, delim = '{delimiter}', quote = '\"', escape = '\"', nullstr = ''"
    return f"read_csv({name}, columns = {{{columns}}}, {layout}, {_KEPT})"


def _check_line_lengths(path: Path) -> None:
    """Raise `FileUnreadable` for a line beyond all reason, told by pieces of the file in which no line ends."""
    without = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            without = 0 if b"\n" in piece or b"\r" in piece else without + len(piece)
            if without > _LONGEST_LINE:
                raise FileUnreadable(path, f"it has a line of more than {_LONGEST_LINE >> 20} MB")


def _header(path: Path) -> tuple[int, list[str], str]:
    """How many lines stand above the header (comments), the names in it, and what stands between them."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        above, line = 0, file.readline(_LONGEST_HEADER)
        while line.startswith("#") or (line and not line.strip()):
            above, line = above + 1, file.readline(_LONGEST_HEADER)
    delimiter = max(",\t;", key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    return above, [name.strip().lower() for name in names], delimiter


def _is_kept(db: duckdb.DuckDBPyConnection) -> bool:
    return bool(db.execute("select 1 from duckdb_tables() where table_name = 'broken'").fetchall())


def _few(names: Iterable[str]) -> str:
    return ", ".join(sorted(name for name in names if _NAME.fullmatch(name))[:5]) or "with odd names"
