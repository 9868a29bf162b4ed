"""One installation in a temporary folder, and the command line as a function."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from byok.cli import cli


@dataclass
class Installation:
    """`run` calls a command in this process; `env` is what a real process needs for the same installation."""

    data: Path
    env: dict[str, str]

    def run(self, *args: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(cli, args, input=stdin, env={**self.env, **(env or {})}, prog_name="byok")

    def ok(self, *args: str, stdin: str = "") -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*args, stdin=stdin)
        assert done.exit_code == 0, done.stderr or done.output
        return done.stdout

    def json(self, *args: str, stdin: str = "") -> Any:
        return json.loads(self.ok(*args, stdin=stdin))

    def import_rows(self, *rows: dict[str, Any], name: str = "rows.jsonl", options: tuple[str, ...] = ()) -> dict[str, Any]:
        """Book rows; what is not said is an answered call of gpt-4o with 100 + 20 tokens."""
        usual = {"vendor": "openai", "model": "gpt-4o", "endpoint": "chat", "status": 200, "usage_source": "vendor"}
        usual |= {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        path = self.data.parent / name
        path.write_text("".join(json.dumps(usual | row) + "\n" for row in rows))
        return self.json("import", str(path), "--json", *options)

    def user_id(self, email: str) -> str:
        return str(self.json("user", "show", email, "--json")["id"])


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name in [name for name in os.environ if name.startswith("BYOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # no byok.toml of anybody
    key = tmp_path / "master.key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    key.chmod(0o600)
    return Installation(tmp_path / "data", {"BYOK_DATA": str(tmp_path / "data"), "BYOK_MASTER_KEY_FILE": str(key)})


@pytest.fixture(autouse=True)
def _quiet_logs() -> Any:
    yield
    structlog.reset_defaults()


@pytest.fixture
def ada(installation: Installation) -> Installation:
    """The installation with the user ada@example.org, plan enterprise."""
    installation.ok("user", "add", "ada@example.org", "--plan", "enterprise")
    return installation
