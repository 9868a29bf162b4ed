"""The soak in short, and the proof that its verdict can be a bad one."""

import json
import sys
import types

import pytest

from tests.soak.__main__ import soak
from tests.soak.verdict import judge, left_over

KILLS, SEED = 12, 20261122


@pytest.mark.slow
def test_kills_lose_double_and_invent_nothing_and_the_verdict_would_say_so(tmp_path, monkeypatch):
    # Streamlit's page tests leave a page as the main module, and the processes to be killed would run it at their start.
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    world, load, verdict = soak(tmp_path, kills=KILLS, seed=SEED)
    assert verdict.good, verdict
    assert world.figures.total >= KILLS and verdict.acknowledged > KILLS
    assert not world.figures.wrong and world.figures.looks

    mine = load.acknowledged[world.main.user_id]
    called = [line for line in world.ledger.read_text().splitlines() if json.loads(line)["call"] != min(mine)]
    world.ledger.write_text("\n".join(called) + "\n")
    mine.add(10**9)
    (world.data / "forgotten").write_text(world.main.user_id)
    spoiled = judge(world, load)
    assert not spoiled.good
    assert (spoiled.invented, spoiled.lost) == ({min(mine)}, {10**9})
    assert left_over(world.data, [world.main.user_id])
