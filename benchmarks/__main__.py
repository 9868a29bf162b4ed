"""`python -m benchmarks [gateway] [store]`: all of them without a name."""

import sys

from benchmarks import gateway, store

BENCHMARKS = {"gateway": gateway.main, "store": store.main}


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    return max(BENCHMARKS[name]() for name in wanted)


sys.exit(main())
