"""Structured logs: one JSON object per line on standard error (readable lines on a terminal), one event name and closed fields.

Closed means: a field that is not in `FIELDS` is dropped and its name counted in `dropped`, so no log line can carry a body, a header, a
query string or a secret by accident. Exceptions are named by type and place; their messages may quote a request and are left out.
"""

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from byok.settings import Settings

_WHO = ("at", "level", "event", "process", "pid", "worker", "logger", "error", "where", "dropped", "reason", "count", "name", "version")
_PLACES = ("host", "port", "data", "file", "files", "directory", "bytes", "free_bytes", "url_path")
_PROCESSES = ("exit_code", "signal", "restart_in_s", "restarts", "uptime_s", "seconds", "job", "migration")
_CALLS = ("user_id", "key_id", "token_id", "vendor", "model", "endpoint", "status", "code", "method", "usage_source")
_TIMES = ("latency_ms", "ttft_ms", "retry_after_s", "before")
_AMOUNTS = ("rows", "lost", "written", "pending", "quarantined", "quarantined_lines", "segment", "segments", "table_version")
_DELETION = ("kind", "receipt", "plan")
FIELDS = frozenset((*_WHO, *_PLACES, *_PROCESSES, *_CALLS, *_TIMES, *_AMOUNTS, *_DELETION))
_QUIET = ("httpx", "httpcore", "aiohttp", "sqlalchemy", "alembic", "asyncio", "urllib3", "watchdog", "apscheduler", "tornado", "multipart")
_SECRETS = re.compile(r"byok_\w+|eyJ[\w.-]+|sk-[\w-]+|\?\S+|Bearer\s+\S+", re.IGNORECASE)
_LONGEST_TEXT = 300


def setup(settings: Settings, process: str, *, level: str = "", stream: TextIO | None = None) -> None:
    """Send the logs of this process to `stream` (standard error): `process` names it in every line. Safe to call again.

    `level` stands in for the setting where that would say more: a command's own output comes first.

    >>> setup(settings, "gateway")
    >>> structlog.get_logger().warning("journal_unwritable", directory="/data/journal", lost=3)
    """
    out = stream or sys.stderr
    names = logging.getLevelNamesMapping()
    lowest = max(names[settings.log_level.upper()], names[level.upper()] if level and settings.log_level != "debug" else 0)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _Named(process),
            _Excepted(settings.data),
            _close_fields,
            _renderer(out),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(out))),
        cache_logger_on_first_use=False,
    )
    _adopt_libraries(lowest)


class _Unfailing:
    """Where the log cannot be written (a full disk, a terminal that is gone) lines are lost, and nobody stops for it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._out.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._out.flush()


class _Named:
    def __init__(self, process: str) -> None:
        self.process = process

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"], event["pid"] = self.process, os.getpid()  # after a fork, too
        return event


class _Excepted:
    """Names an exception by its type and place; one of a file of ours by that file and what is wrong with it, too."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        found = event.pop("exc_info", None)
        if found is True:
            found = sys.exc_info()[1]
        elif isinstance(found, tuple):
            found = found[1]
        if isinstance(found, BaseException):
            event["error"], event["where"] = type(found).__name__, _place(found.__traceback__)
        elif isinstance(event.get("error"), BaseException):
            found, event["error"] = event["error"], type(event["error"]).__name__
        if isinstance(found, OSError) and isinstance(found.filename, str) and Path(found.filename).is_relative_to(self.data):
            event.setdefault("file", found.filename)
            event.setdefault("reason", os.strerror(found.errno or 0))
        return event


def _place(trace: TracebackType | None) -> str:
    """The last frames as `file:line`, innermost last: enough to find the fault, nothing of the data."""
    frames = traceback.extract_tb(trace)[-4:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def _close_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    dropped = sorted(str(name) for name in event if name not in FIELDS)
    kept = {name: _plain(value) for name, value in event.items() if name in FIELDS}
    return kept | ({"dropped": dropped} if dropped else {})


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:20]]
    if isinstance(value, bytes | Mapping):
        return f"<{type(value).__name__}>"  # whatever it holds was not meant for a log
    return _SECRETS.sub("***", str(value)[:_LONGEST_TEXT])


def _renderer(out: TextIO) -> Any:
    if out.isatty():
        return structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, timestamp_key="at")
    return structlog.processors.JSONRenderer(ensure_ascii=True)


class _Adopted(logging.Handler):
    """Lines of libraries, as events of ours: the logger's name and the message's template, without its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.getLogger().level:  # a logger with a level of its own passes by the root's
            return
        logger = structlog.get_logger()
        # The template only: arguments are where libraries put addresses, headers and bodies.
        fields: dict[str, Any] = {"logger": record.name, "reason": str(record.msg).split("\n", 1)[0]}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        logger.log(min(max(record.levelno, logging.DEBUG), logging.CRITICAL), "library_message", **fields)


def adopt_streamlit() -> None:
    """Take over Streamlit's loggers, which write plain lines with whatever is in them past everything here."""
    from streamlit import logger as theirs

    for logger in theirs._loggers.values():
        _silence_console(logger)
    theirs.setup_formatter = _silence_console


def _silence_console(logger: logging.Logger) -> None:
    if (console := getattr(logger, "streamlit_console_handler", None)) is not None:
        logger.removeHandler(console)
    logger.propagate = True
    if logger.name.startswith("streamlit.runtime.caching"):
        logger.disabled = True  # it warns at every start that the runtime has not begun yet


def _adopt_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Adopted)]:
        root.removeHandler(handler)
    root.addHandler(_Adopted())
    root.setLevel(max(level, logging.WARNING))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    access = logging.getLogger("uvicorn.access")  # its lines hold query strings
    access.handlers, access.propagate, access.disabled = [], False, True
    logging.captureWarnings(True)
