"""Comparisons of fitted models by their likelihoods."""
