"""Models without the rows of a fold, from the statistics of the folds."""
