"""The mixed-model equations of one model: layout, factorization, solves, inverse."""
