"""What every command shares: `--data`, settings read once, errors as one line, secrets from standard input, plain tables."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byok.errors import ByokError, NotFound

if TYPE_CHECKING:
    from byok.accounts.database import Database
    from byok.settings import Settings

DATA = "byok.data"  # where a command finds what --data said
_WHOLE = 500  # characters; no first sentence of a command is longer


class _Directory(click.Path):
    """Not an empty word, as a variable of the shell that is not set leaves it: that would be the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value, param, ctx) if value else self.fail("it is empty.", param, ctx)


class Command(click.Command):
    """A command with `--data DIR` that finds the installation's `Settings` in `ctx.obj` (`@click.pass_obj`)."""

    sees_to_signals = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _keep_example_lines(self.help)
        self.params.append(
            click.Option(
                ["--data"],
                metavar="DIR",
                type=_Directory(file_okay=False, path_type=Path),
                expose_value=False,
                callback=_remember_data,
                help="Data directory. Default: BYOK_DATA, else ./data.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A word too many is not repeated: it may be a secret that belongs on standard input."""
        ctx.allow_extra_args = True
        if (extra := super().parse_args(ctx, args)) and not ctx.resilient_parsing:
            from byok.in_words import plural

            ctx.fail(f"Got {plural(len(extra), 'unexpected argument')}. Secrets are read from standard input, never from the command line.")
        return extra

    def invoke(self, ctx: click.Context) -> Any:
        from byok.settings import load

        with _stopping_when_the_terminal_goes(), contextlib.nullcontext() if self.sees_to_signals else _ending_as_by_ctrl_c():
            _leave_no_core()
            ctx.obj = load(os.environ, data=ctx.meta.get(DATA))
            self.begin(ctx.obj)
            return super().invoke(ctx)

    def begin(self, settings: "Settings") -> None:
        """What comes before the command itself: nothing, so that small commands start at once."""


def _leave_no_core() -> None:
    """A process that crashes must not write its memory to disk, with the keys and calls in it. What it starts inherits that."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


@contextlib.contextmanager
def _ending_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, so that what was begun is left in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _stopping_when_the_terminal_goes() -> Iterator[None]:
    """SIGHUP is taken for SIGTERM; not under nohup, which has it ignored."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # shell and kernel both send one, and a second stop would be an impatient one
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGHUP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class StoreCommand(Command):
    """A command that opens the store. The rooms it calls log: their warnings go to standard error, standard output is the answer's."""

    def begin(self, settings: "Settings") -> None:
        from byok import logs

        logs.setup(settings, "byok", level="warning")


def _keep_example_lines(text: str | None) -> str | None:
    """Tell click not to wrap the paragraph that begins with Example."""
    return text and text.replace("\n\nExample:", "\n\n\b\nExample:").replace("\n\n    Example:", "\n\n    \b\n    Example:")


def _remember_data(ctx: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[DATA] = value


class Group(click.Group):
    """A group of such commands. The outermost one turns whatever went wrong into one line on standard error and exit code 1."""

    command_class = Command
    group_class = type  # subgroups are of this class, too

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _keep_example_lines(self.help)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say the whole first sentence of each command, on several lines where it needs them."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=_WHOLE)) for name, command in found if command is not None and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.parent is not None:
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt):
            fail("Stopped. Run the same command again to go on: nothing is done twice.")
        except ByokError as error:
            fail(f"{error.message} {error.remedy}" if "\n" not in error.message else f"{error.message}\n{error.remedy}")
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has seen enough; flushing would fail again
            ctx.exit(0)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            fail(f"{error.strerror or type(error).__name__}{where}. Check the path, its permissions and the free space.")
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if os.environ.get("BYOK_LOG_LEVEL", "").lower() == "debug":
                raise
            fail(f"Unexpected fault: {type(error).__name__} ({_place(error)}). With BYOK_LOG_LEVEL=debug the command shows where.")


def fail(line: str) -> None:
    """Say `line` on standard error and end with exit code 1."""
    click.echo(line, err=True)
    raise click.exceptions.Exit(1)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "no place known"


def email_and_id(which: Sequence[str]) -> tuple[str | None, str]:
    """What `[EMAIL] ID` on a command line means: the e-mail if it was said, and the id."""
    if len(which) > 2:
        raise click.UsageError("Name one id, after the user's e-mail if you like.")
    return (which[0] if len(which) == 2 else None), which[-1]


def emails_of(db: "Database", email: str | None = None) -> dict[str, str]:
    """User id -> e-mail: the one whose e-mail this is, or with None everybody. Raises `UserUnknown`."""
    from byok.accounts import users

    return {user.id: user.email for user in ([users.by_email(db, email)] if email else users.all_users(db))}


def check_vendor(settings: "Settings", name: str) -> None:
    """Raise `NotFound` if this installation knows no vendor of this name."""
    from byok.gateway.vendors import vendors

    if name not in (known := vendors(settings)):
        raise NotFound(f"There is no vendor '{name}'.", remedy=f"Known are: {', '.join(sorted(known))}.")


def utc_now() -> datetime:
    """The clock of all commands."""
    return datetime.now(UTC)


def secret_from_stdin(what: str) -> str:
    """One line of standard input without its line end; on a terminal it is asked for and not shown."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def show_json(value: object) -> None:
    """Print `value` as one line of JSON; a Decimal is a number with all its digits, an instant ends in Z."""
    from byok.answers import encode

    click.echo(encode(value))


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Collection[int] = ()) -> None:
    """Print rows under headers, columns aligned; columns of numbers, and those of index in `right`, to the right."""
    numeric = {i for i in range(len(headers)) if rows and all(type(row[i]) in (int, float) for row in rows)} | set(right)
    lines = [list(headers), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        padded = [text.rjust(widths[i]) if i in numeric else text.ljust(widths[i]) for i, text in enumerate(line)]
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)
