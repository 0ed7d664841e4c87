"""The criterion at one Λ, its derivatives and quadratic model, and the information."""
