"""`byok spikes`: unusual hours of the usage, and the same detector over any series in a file."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byok.cli.frame import StoreCommand, show_json, show_table
from byok.errors import BadRequest
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.services import Services
    from byok.store.scope import AnyScope

_SHOWN = ("hour", "user_id", "vendor", "model", "metric", "actual", "usual", "score", "why")


class NotASeries(BadRequest):
    """A file that does not hold the columns timestamp and value."""

    code = "not_a_series"

    def __init__(self, line: int) -> None:
        super().__init__(f"Line {line} of the file cannot be read.", remedy="Needed: a header timestamp,value and ISO times and numbers.")


@click.command(cls=StoreCommand)
@click.option("--user", "email", metavar="EMAIL", help="Only this user's. Default: everyone's.")
@click.option("--since", metavar="WHEN", help="ISO date or instant; included. Default: all that is kept.")
@click.option("--until", metavar="WHEN", help="ISO date or instant; not included.")
@click.option("--tz", metavar="ZONE", help="IANA zone of dates. Default: the user's, else UTC.")
@click.option(
    "--series",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Score a CSV file's rows instead (timestamp,value): one number from 0 to 1 each, 0.5 and more begins a spike.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array: rows of the view spikes, or scores.")
@click.pass_obj
def spikes(
    settings: Settings, email: str | None, since: str | None, until: str | None, tz: str | None, series: Path | None, as_json: bool
) -> None:
    """Show the hours with far more tokens, calls, failures or cost than usual, newest first, and why.

    Example: byok spikes --user ada@example.org --since 2026-11-01
    """
    if series is not None:
        _score(series, as_json)
        return
    from byok.services import Services
    from byok.store import unusual

    with Services(settings) as services:
        said = {name: [value] for name, value in (("since", since), ("until", until), ("tz", tz)) if value is not None}
        found = [asdict(spike) for spike in unusual.spikes(services.engine, _scope(services, email, said))]
        if services.engine.quarantined:
            click.echo("incomplete: a usage file is broken and was left out; byok doctor names it", err=True)
    if as_json:
        show_json(found)
        return
    rows = [[f"{row[name]:,.2f}" if isinstance(row[name], float) else row[name] for name in _SHOWN] for row in found]
    show_table(_SHOWN, rows, right=range(5, 8))
    click.echo(f"{len(found):,} unusual hours")


def _scope(services: "Services", email: str | None, said: dict[str, list[str]]) -> "AnyScope":
    from byok.accounts import users
    from byok.store.scope import parse_everyones_scope, parse_scope

    if email is None:
        return parse_everyones_scope(said)
    return parse_scope(said, user=users.by_email(services.db, email), now=services.now())


def _score(path: Path, as_json: bool) -> None:
    import numpy as np

    from byok.spikes import series

    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(_rows(file))
    times, values = zip(*rows, strict=True) if rows else ((), ())
    scores = series.scores(np.array([int(time.timestamp()) for time in times], dtype=np.int64), np.array(values, dtype=float))
    if as_json:
        show_json([float(score) for score in np.floor(scores * 1e6) / 1e6])  # downwards: what is no spike must not look like one
        return
    told = [[time, f"{value:g}", f"{score:.2f}"] for time, value, score in zip(times, values, scores, strict=True) if score >= 0.5]
    show_table(("timestamp", "value", "score"), told, right=(1, 2))
    click.echo(f"{len(told):,} spikes in {len(rows):,} rows", file=sys.stdout)


def _rows(file: Iterator[str]) -> Iterator[tuple[datetime, float]]:
    """Time and value of each row; a naive time is UTC, an empty value is not known."""
    reader = csv.reader(file)
    header = [name.strip().lower() for name in next(reader, [])]
    if header[:2] != ["timestamp", "value"]:
        raise NotASeries(1)
    for row in reader:
        if row:
            yield _row(row, reader.line_num)


def _row(row: list[str], line: int) -> tuple[datetime, float]:
    try:
        time = datetime.fromisoformat(row[0].strip())
        value = float(row[1]) if row[1].strip() else float("nan")
    except (ValueError, IndexError):
        raise NotASeries(line) from None
    if value in (float("inf"), float("-inf")):
        raise NotASeries(line)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)), value
