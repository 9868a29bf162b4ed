"""Kills of whoever delivers, in short, and the proof that the verdict can be a bad one."""

import sys
import types

import pytest

from tests.soak.alert_kills import run, verdict

KILLS, SEED = 15, 20261125


@pytest.mark.slow
def test_kills_lose_and_double_no_message_and_the_verdict_would_say_so(tmp_path, monkeypatch):
    # Streamlit's page tests leave a page as the main module, and the processes to be killed would run it at their start.
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    world, _ = run(tmp_path, kills=KILLS, seed=SEED)
    lost, doubled, _ = verdict(world, KILLS)
    assert (lost, doubled) == ([], [])
    assert world.kills.total() == KILLS and len(world.kills) >= 3
    (once, *_) = (key for key, count in world.answered.items() if count == 1 and key not in world.gap)
    world.answered[once] += 1
    assert verdict(world, KILLS)[1] == [once]
    world.answered[once] = 0
    assert verdict(world, KILLS)[0] == [once]
