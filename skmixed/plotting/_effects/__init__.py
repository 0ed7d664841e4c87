"""Marginal means and slopes with intervals, over the data."""
