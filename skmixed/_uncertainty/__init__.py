"""Errors, degrees of freedom, profiles, variances of predictions, draws."""
