"""Generalized linear mixed models by Laplace's approximation, with its exact derivatives."""
