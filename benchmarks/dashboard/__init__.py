"""How fast the dashboard is: charts drawn, bytes loaded, a filter click, and fifty people at once beside the gateway.

python -m benchmarks dashboard                                  a million records
python -m benchmarks.dashboard.run --records 100000000          a hundred million (needs 2 GB of disk and some minutes to write them)
"""
