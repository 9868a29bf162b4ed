"""What is installed is locked by hash, and is what requirements.txt names."""

import re
import sys
from pathlib import Path

import pytest

from tests import audit

ROOT = Path(__file__).resolve().parents[1]
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str = "requirements") -> dict[str, str]:
    return {plain(name): version for name, version, _ in ENTRY.findall((ROOT / f"{name}.lock").read_text())}


@pytest.mark.parametrize(("name", "least"), [("requirements", 50), ("requirements-scale", 4)])
def test_every_line_of_the_lock_is_a_package_with_hashes(name, least):
    text = (ROOT / f"{name}.lock").read_text()
    left = ENTRY.sub("", text)
    assert [line for line in left.splitlines() if line and not line.startswith("#")] == []
    assert len(locked(name)) >= least


@pytest.mark.parametrize("name", ["requirements", "requirements-scale"])
def test_the_lock_holds_what_requirements_name(name):
    wanted = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / f"{name}.txt").read_text(), re.M)
    assert wanted
    assert {plain(name): version for name, version in wanted}.items() <= locked(name).items(), "run: make lock"


def test_what_is_past_one_machine_fits_what_every_machine_has():
    first, more = locked(), locked("requirements-scale")
    assert {name: more[name] for name in first.keys() & more.keys()} == {name: first[name] for name in first.keys() & more.keys()}
    assert not {"psycopg", "pyspark", "sqlglot", "fsspec"} & first.keys(), "these are optional"


def test_installing_takes_the_lock_and_insists_on_hashes():
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes -r requirements.lock" in makefile
    assert not re.search(r"install [^\n]*-r requirements\.txt", makefile)


def fake(tmp_path: Path, output: str, code: int) -> str:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({output!r})\nprint('cannot connect', file=sys.stderr)\nsys.exit({code})\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}', 0, "1 packages looked up, 0 advisories"),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}], "fixes": []}',
            1,
            "a 1: X-1 (fixed in: 2)",
        ),
        (
            '{"dependencies": [{"name": "a", "skip_reason": "unknown"}, {"name": "b", "version": "1", "vulns": []}], "fixes": []}',
            0,
            "Not looked up: a\n1 packages looked up",
        ),
        ('{"dependencies": [{"name": "a", "skip_reason": "unknown"}], "fixes": []}', 0, "NOT CHECKED: the service that was asked"),
        ("", 0, "NOT CHECKED: the advisories could not be read (cannot connect)"),
    ],
)
def test_an_audit_says_what_it_found_or_that_it_could_not_look(tmp_path, capsys, output, code, said):
    assert audit.main(fake(tmp_path, output, 1)) == code
    assert said in capsys.readouterr().out
