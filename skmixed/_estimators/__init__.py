"""The estimators: scikit-learn's contract around all below."""
