"""The search for canaries is proven before it is believed: it finds planted leaks, all of them, and nothing where there is nothing."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from tests.privacy import places
from tests.privacy.canaries import Search, fresh
from tests.privacy.leaks import LEAKS, planted

CANARY = fresh()
PIECE = CANARY[7:15]

FORMS = {
    "plain": CANARY.encode(),
    "the last eight characters": CANARY[-8:].encode(),
    "within JSON within JSON": json.dumps(json.dumps({"a": f'"{CANARY}"'})).encode(),
    "JSON escapes": "".join(f"\\u{ord(c):04x}" for c in PIECE).encode(),
    "URL": urllib.parse.quote(f"ä {CANARY}").encode(),
    "percent": "".join(f"%{ord(c):02X}" for c in PIECE).encode(),
    "hex": PIECE.encode().hex().encode(),
    "HEX": PIECE.encode().hex().upper().encode(),
    "UTF-16 little": PIECE.encode("utf-16-le"),
    "UTF-16 big": PIECE.encode("utf-16-be"),
    "base64": base64.b64encode(CANARY.encode()),
    "base64 after one": base64.b64encode(b"x" + CANARY.encode() + b"yz"),
    "base64 after two": base64.b64encode(b"xy" + CANARY.encode() + b"z"),
    "base64 for URLs": base64.urlsafe_b64encode(b"prompt: " + CANARY.encode() + b"\xff\xfe"),
    "md5": hashlib.md5(CANARY.encode()).hexdigest().encode(),
    "sha1": hashlib.sha1(CANARY.encode()).digest(),
    "sha256": hashlib.sha256(CANARY.encode()).hexdigest().encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_wherever_it_stands(form):
    search = Search({"prompt": CANARY, "another": fresh()})
    for before in (b"", b"x", os.urandom(3001)):
        hits = search.look(before + FORMS[form] + os.urandom(77), "here")
        assert {(hit.slot, hit.place) for hit in hits} == {("prompt", "here")}


def test_nothing_is_found_where_nothing_is():
    search = Search({str(number): fresh() for number in range(60)})
    noise = os.urandom(2_000_000)
    for data in (noise, noise.hex().encode(), base64.b64encode(noise), CANARY[:7].encode(), b"", b"short"):
        assert search.look(data, "noise") == set()


def test_twelve_of_twelve_planted_leaks_are_found(tmp_path):
    canaries = {f"slot {number}": fresh() for number in range(40)}
    search = Search(canaries)
    (tmp_path / "harmless.txt").write_text("nothing here")
    assert search.look_all(places.files(tmp_path)) == set()
    with planted(tmp_path / "planted", canaries) as (slots, pid):
        hits = search.look_all([*places.files(tmp_path), *places.processes(pid)])
    found = {name for name, slot in slots.items() if any(hit.slot == slot for hit in hits)}
    assert len(found) == len(LEAKS) == 12, f"the search is blind to {set(LEAKS) - found}"
    assert {hit.slot for hit in hits} == set(slots.values())


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: deleted files cannot be seen")
def test_what_was_written_and_deleted_is_found(tmp_path):
    kept, named = fresh(), fresh()
    script = f"import os; p='{tmp_path}/{named}'; f=open(p,'w'); f.write('{kept}'); f.close(); os.remove(p)"
    done = subprocess.run(
        [*places.TRACE, str(tmp_path / "trace"), sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"strace cannot trace here: {done.stderr[-200:]}")
    search = Search({"text": kept, "name": named})
    assert {hit.slot for hit in search.look_all(places.written(tmp_path / "trace"))} == {"text", "name"}
