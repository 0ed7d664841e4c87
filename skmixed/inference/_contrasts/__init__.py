"""Comparisons of marginal means and slopes: families of tests, and what adjusts them."""
