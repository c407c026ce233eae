"""`/metrics`: what a running server counts, for Prometheus.

Nothing is counted for it on the way of a request but what `server/traffic.py` and the tallies of
the work hold; the rest is read from what is there anyway, when somebody asks. The library that
writes it is imported by the first who does.
"""
