"""Peers are installed once, in exact versions, into folders of their own under the user's cache."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gateway.processes import Unavailable, last_line

_WITHIN_S = 900


def python_packages(name: str, requirement: str) -> Path:
    """A virtual environment with `requirement`. Raises `Unavailable` with what the installer said."""
    folder = _folder(name)
    if not _installed(folder, requirement):
        _say(name, requirement, folder)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", requirement])
        _mark(folder, requirement)
    return folder


def node_packages(name: str, packages: dict[str, str], instead: dict[str, str]) -> Path:
    """A folder with `packages`, some of what they need replaced. Raises `Unavailable` with what the installer said."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Unavailable("Node and npm are not installed")
    folder, wanted = _folder(name), json.dumps({"private": True, "dependencies": packages, "overrides": instead})
    if not _installed(folder, wanted):
        _say(name, ", ".join("@".join(package) for package in packages.items()), folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(wanted)
        _run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
        _mark(folder, wanted)
    return folder


def _folder(name: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "byok-bench" / name


def _installed(folder: Path, wanted: str) -> bool:
    mark = folder / "installed"
    return mark.is_file() and mark.read_text() == wanted


def _mark(folder: Path, wanted: str) -> None:
    (folder / "installed").write_text(wanted)


def _say(name: str, what: str, folder: Path) -> None:
    print(f"{name}: installing {what} into {folder}, which takes some minutes the first time ...", flush=True)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed within {_WITHIN_S} s") from None
    if done.returncode:
        raise Unavailable(f"could not be installed: {_complaint(done.stderr or done.stdout)}")


def _complaint(said: str) -> str:
    """The first line with an error in it: what follows is advice."""
    return next((line.strip()[:200] for line in said.splitlines() if "error" in line.lower()), last_line(said))
