"""Logs: one JSON object per line, closed fields, nothing of a call's content."""

import contextlib
import errno
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from byok import logs, settings

CANARY = "canary-7f3a9c"


@pytest.fixture
def lines() -> Iterator[list[dict]]:
    out = io.StringIO()
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    logs.setup(settings.load({}), "gateway", stream=out)

    class Lines(list):
        def __iter__(self):
            return iter([json.loads(line) for line in out.getvalue().splitlines()])

        def __getitem__(self, index):
            return list(self)[index]

    yield Lines()
    root.handlers, root.level = before
    structlog.reset_defaults()
    logging.captureWarnings(False)


def test_a_line_names_event_level_time_and_process(lines):
    structlog.get_logger().warning("journal_unwritable", lost=3)
    (line,) = lines
    assert (line["event"], line["level"], line["process"], line["lost"]) == ("journal_unwritable", "warning", "gateway", 3)
    assert line["at"].endswith("Z")


@pytest.mark.parametrize("field", ["body", "headers", "query", "prompt", "authorization", "email", "url"])
def test_a_field_that_is_not_on_the_list_is_dropped_and_named(lines, field):
    structlog.get_logger().error("surprise", **{field: CANARY})
    assert CANARY not in json.dumps(lines[0])
    assert lines[0]["dropped"] == [field]


@pytest.mark.parametrize(
    "value", [CANARY.encode(), {"x": CANARY}, [{"x": CANARY}], f"sk-{CANARY}", f"/v1?key={CANARY}", f"Bearer {CANARY}"]
)
def test_a_permitted_field_cannot_carry_a_structure_or_a_secret(lines, value):
    structlog.get_logger().error("surprise", reason=value)
    assert CANARY not in json.dumps(lines[0])


def test_a_file_of_ours_that_fails_is_named_with_what_is_wrong_and_another_is_not(lines):
    ours = str(settings.load({}).data / "usage/_writer.lock")
    for path in (ours, f"static/{CANARY}"):
        structlog.get_logger().error("job_failed", exc_info=PermissionError(errno.EACCES, CANARY, path))
    assert (lines[0]["file"], lines[0]["reason"]) == (ours, "Permission denied")
    assert "file" not in lines[1] and CANARY not in json.dumps(list(lines))


def test_an_exception_is_named_by_type_and_place_without_its_message(lines):
    try:
        raise ValueError(f"could not parse {CANARY}")
    except ValueError:
        structlog.get_logger().exception("relay_failed")
    assert lines[0]["error"] == "ValueError"
    assert lines[0]["where"].startswith("test_logs.py:")
    assert CANARY not in json.dumps(lines[0])


def test_a_library_is_heard_from_warning_on_without_its_arguments(lines):
    logging.getLogger("somebody").info("hello %s", CANARY)
    logging.getLogger("somebody").error("no answer from %s", CANARY)
    (line,) = lines
    assert line["logger"] == "somebody"
    assert line["reason"] == "no answer from %s"


def test_access_lines_and_request_lines_of_http_libraries_are_silent(lines):
    logging.getLogger("uvicorn.access").error('GET /usage?token=%s"', CANARY)
    logging.getLogger("httpx").warning("HTTP Request: GET %s", CANARY)
    assert list(lines) == []


def test_setting_up_twice_does_not_repeat_lines(lines):
    logs.setup(settings.load({}), "gateway", stream=(again := io.StringIO()))
    logging.getLogger("somebody").error("once")
    assert len(again.getvalue().splitlines()) == 1
    assert list(lines) == []


def test_debug_is_silent_unless_asked_for(lines):
    structlog.get_logger().debug("detail")
    assert list(lines) == []


def test_a_log_that_cannot_be_written_stops_nobody(lines):
    with Path("/dev/full").open("w") as full:
        logs.setup(settings.load({}), "gateway", stream=full)
        structlog.get_logger().error("journal_cannot_write", lost=1)
        with contextlib.suppress(OSError):
            full.close()
