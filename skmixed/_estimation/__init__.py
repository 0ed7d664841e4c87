"""The search for Λ, and the estimates at its end."""
