"""Fitted models as plain arrays, lists and dicts, and checks of these before they are used."""
