"""`python -m benchmarks [NAME …]`: without a name all but those that want a browser, other servers or a quiet machine."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import budget, console, engines, forecast, gateway, scale, spikes, store, workers
from benchmarks.dashboard import run as dashboard

ONLY_IF_NAMED = ("budget", "dashboard", "engines", "workers")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What `make bench` runs: without a name all but budget, dashboard (wants a browser), engines and workers.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="gateway | store | console | forecast | spikes | dashboard | scale | engines | workers | budget",
        help="which",
    )
    parser.add_argument("--only", metavar="PEERS", help=f"gateway: beside these only, of {','.join(gateway.PEERS)}; empty for none")
    parser.add_argument(
        "--quick", action="store_true", help="gateway: fewer and shorter rounds, and without --only none of the peers that start slowly"
    )
    asked = parser.parse_args()
    peers = None if asked.only is None else [name for name in asked.only.split(",") if name]
    benchmarks: dict[str, Callable[[], int]] = {
        "gateway": lambda: gateway.main(peers, quick=asked.quick),
        "store": store.main,
        "console": console.main,
        "forecast": forecast.main,
        "spikes": spikes.main,
        "dashboard": dashboard.main,
        "scale": scale.main,
        "engines": engines.main,
        "workers": workers.main,
        "budget": budget.main,
    }
    for kind, given, there in (("benchmark", asked.names, benchmarks), ("peer", peers or [], gateway.PEERS)):
        if unknown := [name for name in given if name not in there]:
            parser.error(f"no {kind} {', '.join(unknown)}; there are: {', '.join(there)}")
    return max(benchmarks[name]() for name in asked.names or [each for each in benchmarks if each not in ONLY_IF_NAMED])


sys.exit(main())
