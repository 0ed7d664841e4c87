"""The criterion at one Λ, its derivatives there, and the quadratic models made of them."""
