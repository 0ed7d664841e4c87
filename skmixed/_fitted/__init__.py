"""A fitted model: how it is read, fitted, checked, saved and looked at."""
