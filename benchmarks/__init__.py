"""What the gateway costs and how fast it learns, measured against its peers.

Run one by ``scripts/bench NAME`` (or ``python -m benchmarks.NAME``). Each
benchmark starts everything it compares in the same run, on loopback, and stops
it again. Every number printed was measured in that run; compare numbers within
a run only.
"""
