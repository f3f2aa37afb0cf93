"""Measurements that `make bench` runs, each a process of its own: `python -m bench.NAME`."""
