"""Means and slopes over the cells of a reference grid, and comparisons of them."""
