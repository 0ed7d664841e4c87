"""The estimators of generalized linear mixed models."""
