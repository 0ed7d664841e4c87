"""Models with a covariance of the residuals: rows in blocks that share outer effects alone."""
