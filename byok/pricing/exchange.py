"""Files of prices that an operator imports: the packaged files' YAML, or CSV."""

import csv
import io
from collections.abc import Iterator
from datetime import date

from msgspec.structs import replace

from byok.errors import BadRequest
from byok.pricing import files
from byok.pricing.overrides import BY_OPERATOR, Override

_COLUMNS = ("input", "output", "cached", "cache_write", "request", "source")


class ImportInvalid(BadRequest):
    """A file that makes no sense, with every fault."""

    code = "prices_invalid"

    def __init__(self, faults: list[str]) -> None:
        super().__init__(
            "Nothing was set:\n" + "\n".join(f"  {fault}" for fault in faults[:50]), remedy="Correct the file and import it again."
        )


def read(text: str, name: str, *, today: date) -> list[Override]:
    """The overrides that a file describes; an entry without a day begins `today`. Raises `ImportInvalid` with every fault at once."""
    faults: list[str] = []
    found = list(_of_csv(text, name, faults, today) if name.lower().endswith(".csv") else _of_yaml(text, name, faults, today))
    if not faults and not found:
        faults.append(f"{name}: there is no price in it")
    if faults:
        raise ImportInvalid(faults)
    return found


def _of_yaml(text: str, name: str, faults: list[str], today: date) -> Iterator[Override]:
    for vendor, model, entries in files.entries(text, name, faults):
        for entry in entries:
            yield Override(vendor, model, entry.from_ or today, replace(entry, from_=None))


def _of_csv(text: str, name: str, faults: list[str], today: date) -> Iterator[Override]:
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        values: dict[str, object] = {column: row[column] for column in _COLUMNS if row.get(column)}
        if not row.get("vendor") or not row.get("model") or None in row:
            faults.append(f"{name}: line {number}: vendor and model are needed, and no more columns than the header has")
            continue
        try:
            since = date.fromisoformat(row["from"]) if row.get("from") else today
            yield Override(row["vendor"], row["model"], since, files.entry({"source": BY_OPERATOR} | values))
        except ValueError as error:
            faults.append(f"{name}: line {number}: {error}")
