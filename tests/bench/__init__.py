"""Benchmarks: what `scripts/bench` runs. They print figures and assert nothing about time."""
