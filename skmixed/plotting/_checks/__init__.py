"""Checks of a model's assumptions, in one figure."""
