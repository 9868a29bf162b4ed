"""The order of copies in docs/operations.md counts every record once, although the keeper publishes in between."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from byok.recording.journal import Journal
from byok.recording.publisher import publish
from byok.recording.reader import Reader
from byok.recording.table import Table
from tests.samples import usage_record

STEPS = re.search(r"```sh\n(umask 077 .*?)```", (Path(__file__).parents[2] / "docs" / "operations.md").read_text(), re.S)


def test_a_backup_taken_while_records_are_published_holds_each_once(tmp_path):
    data, table = tmp_path / "data", Table(tmp_path / "data" / "usage")
    (data / "accounts.db").parent.mkdir()
    for number in range(40):
        journal = Journal(data / "journal")
        journal.append(usage_record(ts=datetime(2026, 11, 1, 0, number, tzinfo=UTC)))
        journal.close()
        if number == 19:
            publish(table, data / "journal", lambda _: set())
    assert STEPS
    for line in STEPS[1].splitlines():
        if "accounts.db" not in line:
            subprocess.run(line, shell=True, check=True, cwd=tmp_path)
        if "data/journal" in line:
            publish(table, data / "journal", lambda _: set())  # the rest is published after the journal was copied
    restored = tmp_path / "backup"
    view = Reader(restored / "usage", restored / "journal").view()
    assert sum(file.rows for file in view.files) + view.tail.num_rows == 40
    publish(Table(restored / "usage"), restored / "journal", lambda _: set())
    assert sum(file.rows for file in Table(restored / "usage").snapshot().files) == 40


def test_a_backup_is_as_private_as_the_original(ada):
    Journal(ada.data / "journal").close()
    publish(Table(ada.data / "usage"), ada.data / "journal", lambda _: set())
    assert STEPS
    steps = STEPS[1].replace("data/", f"{ada.data}/").replace(".venv/bin/python", sys.executable)
    subprocess.run(steps, shell=True, cwd=ada.data.parent)
    backup = ada.data.parent / "backup"
    for root in (ada.data, backup):
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in root.iterdir() if path.name in ("accounts.db", "journal", "usage")}
        assert modes == {"accounts.db": "0o600", "journal": "0o700", "usage": "0o700"}
