"""Splits of the rows, by any splitter, and which question they ask of grouped data."""
