"""Speed, measured by hand and never asserted: ``python -m tests.benchmarks``."""
