"""One bad file: everything else is answered, and it is said that something is missing."""

import errno
import re
from pathlib import Path

import pytest

from byok.recording.publisher import publish
from byok.recording.table import Table
from tests.web.conftest import Home


@pytest.mark.parametrize("first_asked", ["/usage/export?format=csv", "/usage"])
def test_a_damaged_file_of_the_table_is_named_and_left_out(home: Home, first_asked: str) -> None:
    usage = home.services.settings.usage_dir
    whole = home.client.get("/usage", headers=home.ada.bearer)
    assert "x-byok-incomplete" not in whole.headers and whole.json()["total_calls"] > 0
    publish(Table(usage), home.services.settings.journal_dir, lambda _: {})
    assert home.client.get("/usage", headers=home.ada.bearer).json() == whole.json()
    for stranger in ("stranger.parquet", "month=2026-11/stranger.parquet", "month=2026-11/part-0.parquet", "empty.txt"):
        (usage / stranger).parent.mkdir(exist_ok=True)
        (usage / stranger).write_text("not ours")
    again = home.client.get("/usage", headers=home.ada.bearer)
    assert again.json() == whole.json() and "x-byok-incomplete" not in again.headers
    assert _gauge(home) == 0

    (file, *_) = Table(usage).snapshot().files
    Path(file.path).write_bytes(Path(file.path).read_bytes()[:-30])
    first = home.client.get(first_asked, headers=home.ada.bearer)
    assert first.headers["x-byok-incomplete"] == "1", "the first to meet the file says so, too"
    for route in ("/usage", "/usage/export?format=csv", "/costs"):
        answered = home.client.get(route, headers=home.ada.bearer)
        assert answered.status_code == 200, route
    answered = home.client.get("/usage", headers=home.ada.bearer)
    assert answered.headers["x-byok-incomplete"] == "1"
    assert answered.json()["total_calls"] < whole.json()["total_calls"]
    assert _gauge(home) == 1


def _gauge(home: Home) -> int:
    found = re.search(r"^byok_quarantined_files (\S+)$", home.client.get("/metrics").text, re.MULTILINE)
    assert found
    return int(float(found[1]))


def test_files_that_cannot_be_read_are_a_503_without_their_place(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(home.services.settings.usage_dir))

    monkeypatch.setattr("byok.recording.reader.Reader.view", refuse)
    answered = home.client.get("/usage", headers=home.ada.bearer)
    assert (answered.status_code, answered.json()["error"]["code"]) == (503, "files_unavailable")
    assert "usage" not in answered.text
    assert "byok_store_reachable 0.0" in home.client.get("/metrics").text


def test_a_time_out_is_no_fault_of_a_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("byok.recording.reader.Reader.view", refuse)
    answered = home.client.get("/usage", headers=home.ada.bearer)
    assert (answered.status_code, answered.json()["error"]["code"]) == (500, "internal")
