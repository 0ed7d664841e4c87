"""Measurements: skmixed beside other programs, by `python -m benchmarks`."""
