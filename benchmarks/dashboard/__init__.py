"""How fast the dashboard is: charts drawn, bytes loaded, a filter click, and fifty people at once beside the gateway.

python -m benchmarks dashboard                                                  a million records
BYOK_BENCH_RECORDS=100000000 BYOK_BENCH_DIR=/big python -m benchmarks dashboard     those in /big/100000000, written there if need be

A hundred million need 2 GB of disk and some minutes to write. Records that are there already are only read.
"""
