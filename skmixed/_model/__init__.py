"""The specification: terms, covariance structures, and the coding of factors."""
