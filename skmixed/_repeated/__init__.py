"""Models with a covariance of the residuals: blocks of rows whose covariance is explicit."""
