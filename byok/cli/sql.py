"""`byok sql`: the operator's own DuckDB over everything, or one user's question in the locked process that the SQL page uses."""

import itertools
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from byok.cli.frame import StoreCommand, fail
from byok.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from byok.services import Services
    from byok.store.engine import Engine

PROMPT, MORE = "byok> ", "  ... "
_BATCH_ROWS = 32_768


@click.command(cls=StoreCommand)
@click.argument("query", required=False)
@click.option("--user", "email", metavar="EMAIL", help="Ask as this user: own rows only, locked process, at most 5 s, 10,000 rows, 8 MB.")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json", "parquet"]), default="table", show_default=True)
@click.option("--init", is_flag=True, help="Print the SQL that gives any DuckDB shell the same views.")
@click.pass_obj
def sql(settings: Settings, query: str | None, email: str | None, kind: str, init: bool) -> None:
    """Ask in SQL over the views usage, usage_priced, prices, keys and spikes. Without QUERY, or with -, it comes from standard input.

    Example: byok sql "select model, sum(cost_usd) from usage_priced group by all order by 2 desc"
    """
    from byok.services import Services

    interactive = query is None and _is_terminal() and not init
    with Services(settings) as services:
        if init:
            click.echo(_init(services), nl=False)
        elif interactive:
            _converse(services, email)
        else:
            _answer(services, sys.stdin.read() if query in (None, "-") else str(query), email, kind)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _init(services: "Services") -> str:
    from byok.accounts import users
    from byok.store import shell, unusual

    places = services.settings.usage_dir, services.settings.journal_dir
    keys = services.engine.connection().sql("from keys").to_arrow_table().to_pylist()
    prices, found = services.catalogue.tables, unusual.everyones(services.engine)
    return shell.init_sql(*places, prices=prices, keys=keys, spikes=found, retention=users.retention(services.db))


def _answer(services: "Services", query: str, email: str | None, kind: str) -> None:
    """Run one query and write its answer. A fault of the query is one line on standard error and exit code 1."""
    import duckdb

    from byok.store.console import SqlFailed, SqlRefused

    try:
        _write(_everything(services, query) if email is None else _own(services, query, email), kind)
    except (SqlRefused, SqlFailed) as error:
        fail(f"{error.code}: {' '.join(error.message.split())}")
    except duckdb.Error as error:
        fail(f"sql_failed: {' '.join(str(error).split())}")


def _everything(services: "Services", query: str) -> "pa.RecordBatchReader | None":
    """The operator's answer, batch by batch; None for a statement that has none. A broken file is left out, and said."""
    import duckdb

    engine = services.engine
    try:
        answer = _begun(engine, query)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise  # of the query, not of a file
    except duckdb.Error as error:
        engine.mend(error)
        answer = _begun(engine, query)
    if engine.quarantined:
        click.echo("incomplete: a usage file is broken and was left out; byok doctor names it", err=True)
    return answer


def _begun(engine: "Engine", query: str) -> "pa.RecordBatchReader | None":
    """The answer with its first batch read: until then no file may have been looked at."""
    import pyarrow as pa

    found = _connection(engine, query).sql(query)
    if found is None:
        return None
    batches = found.to_arrow_reader(_BATCH_ROWS)
    first = next(batches, None)
    return pa.RecordBatchReader.from_batches(batches.schema, batches if first is None else itertools.chain([first], batches))


def _connection(engine: "Engine", query: str) -> "DuckDBPyConnection":
    """The operator's connection. Spikes are looked for only if the query speaks of them: that reads everything."""
    from byok.store import tables, unusual

    connection = engine.connection()
    asked = re.search(r"\bspikes\b", query, re.IGNORECASE)
    connection.register("spikes", unusual.everyones(engine) if asked else tables.SPIKES.empty_table())
    return connection


def _own(services: "Services", query: str, email: str) -> "pa.Table":
    """One user's answer, from the locked process; says on standard error what was cut."""
    from byok import sql_sessions
    from byok.accounts import users

    answer = sql_sessions.ask_once(services, users.by_email(services.db, email), query)
    if answer.truncated:
        click.echo(f"truncated: {answer.truncated}", err=True)
    return answer.rows


def _write(answer: "pa.Table | pa.RecordBatchReader | None", kind: str) -> None:
    if answer is None:
        return
    if kind == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: redirect it, as in > answer.parquet.")
    sys.stdout.buffer.writelines(_pieces(answer, kind))
    sys.stdout.buffer.flush()


def _pieces(answer: "pa.Table | pa.RecordBatchReader", kind: str) -> Iterator[bytes]:
    import pyarrow as pa

    from byok.store import csv_json, formatting, parquet

    batches = answer.to_batches() if isinstance(answer, pa.Table) else answer
    if kind == "parquet":
        return parquet.write(answer.schema, batches)
    if kind == "table":
        return (line.encode() for line in formatting.table(answer.schema.names, batches))
    return csv_json.write(kind, answer.schema, batches, line_end="\n")  # as other commands expect it of their input


def _converse(services: "Services", email: str | None) -> None:
    """Read statements that end with `;` and answer each, until Ctrl-D. Every statement sees the newest records."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() line editing and history
    click.echo("Views: usage, usage_priced, prices, keys, spikes. End a statement with ; and the session with Ctrl-D.", err=True)
    for query in _statements():
        with contextlib.suppress(click.exceptions.Exit):  # the fault was said
            _answer(services, query, email, "table")


def _statements() -> Iterator[str]:
    lines: list[str] = []
    while True:
        try:
            line = input(MORE if lines else PROMPT)
        except EOFError:
            click.echo(err=True)
            return
        except KeyboardInterrupt:
            click.echo(err=True)
            lines = []
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
