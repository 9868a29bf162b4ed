"""What `make install` leaves behind works wherever the project lies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = (Path(__file__).parents[1] / "Makefile").read_text()
LINKING = re.findall(r"^\t@(.*byok\.pth.*)$", MAKEFILE, re.M)


@pytest.mark.parametrize("name", ["Mein Ördner 日本", 'it\'s "here"'])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_project_is_found_below_any_name_and_in_any_locale(tmp_path, name, locale):
    home = tmp_path / name
    (home / "byok").mkdir(parents=True)
    (home / "byok" / "__init__.py").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=home, check=True)
    (line,) = LINKING
    line = line.replace("$(BIN)", ".venv/bin").replace("$(CURDIR)", str(home)).replace("$$", "$")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))} | {"LC_ALL": locale}
    subprocess.run(["/bin/sh", "-c", line], cwd=home, check=True, env=environ)
    said = subprocess.run([home / ".venv/bin/python", "-c", "import byok"], cwd=tmp_path, env=environ, capture_output=True)
    assert said.returncode == 0, said.stderr
