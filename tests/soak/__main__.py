"""`python -m tests.soak --kills 1000 --seed 20261122`: kill everything again and again, then count. Exit code 1 if anything is wrong.

The seed decides who is killed when and at which step; what the processes were doing meanwhile is the machine's.
"""

import argparse
import logging
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.calls import Load
from tests.soak.verdict import Verdict, judge
from tests.soak.world import World


def soak(root: Path, *, kills: int, seed: int) -> tuple[World, Load, Verdict]:
    """Run one in `root`: what was done, what the clients saw, and the verdict."""
    world = World(root, seed=seed)
    load = world.run(kills)
    print(f"kills done, settled in {world.settle():.1f} s")
    return world, load, judge(world, load)


def report(world: World, verdict: Verdict, took_s: float) -> None:
    figures = world.figures
    print(f"{figures.total} kills in {took_s:.0f} s: {_listed(figures.kills)}")
    print(f"of these {figures.at_step.total()} at {len(figures.at_step)} named steps: {_listed(figures.at_step)}")
    print(f"{figures.stops} keepers stopped for 2.5 s; {_listed(figures.faults)}")
    for name, seconds in figures.recovery_s.items():
        cpu = figures.cpu_s[name]
        print(
            f"{name} answers again after {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s (worst of {len(seconds)}); "
            f"CPU {statistics.median(cpu):.2f} s, {max(cpu):.2f} s"
        )
    print(f"{len(world.leaving)} erasures begun, {figures.erasures} ended unkilled; {world.receipts()} receipts")
    print(f"{verdict.acknowledged} calls acknowledged, {verdict.stored} stored, {figures.looks} looks at /usage meanwhile")
    print(f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, invented {len(verdict.invented)}, changed {len(verdict.changed)}")
    print(f"left of who was erased: {len(verdict.left_over)} hits; rows past retention after the purge: {verdict.stale_rows}")
    for line in [*verdict.wrong, *verdict.left_over][:20]:
        print("WRONG:", line)


def _listed(counts: "dict[str, int]") -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--keep", type=Path, help="Leave the data and logs in this new directory.")
    chosen = parser.parse_args()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    print(f"seed {chosen.seed}: python -m tests.soak --kills {chosen.kills} --seed {chosen.seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="byok-soak-") as folder:
        root = chosen.keep or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        world, _, verdict = soak(root, kills=chosen.kills, seed=chosen.seed)
        report(world, verdict, time.monotonic() - started)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
