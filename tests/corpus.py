"""Finds the recorded corpora that lie beside a development checkout; a plain clone does not have them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def corpus(name: str) -> Path:
    """Return the folder or file `name` of the corpora, or skip the test with the reason."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"the recorded corpus '{name}' is not beside this checkout (expected in ../shared/corpus)")
    return path
