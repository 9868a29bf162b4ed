"""Our gateway beside nginx as a plain reverse proxy, LiteLLM's proxy and Portkey's gateway: same mock vendor, same load, one run.

One core is for what is measured, another for mock vendor and load; one process each, recording on. Rounds alternate between the targets, so
that a busy machine slows all of them: trust the ratios.
"""

from benchmarks.gateway.run import PEERS, main

__all__ = ["PEERS", "main"]
