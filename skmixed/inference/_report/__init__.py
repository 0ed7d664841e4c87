"""The sentences of methods and results that a paper says of a model."""
