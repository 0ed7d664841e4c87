"""From rows to cross-products that add up, and the rank of X."""
