"""Intervals for any distribution: models that are calibrated by rows out of fold."""
