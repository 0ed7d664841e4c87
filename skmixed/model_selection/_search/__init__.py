"""MixedLinearRegressorCV: the best of several models, fitted."""
