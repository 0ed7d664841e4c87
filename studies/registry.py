"""All designs, in the order of the page."""

from studies import conformal, generalized, hybrid, linear, repeated

DESIGNS = [
    design
    for module in (linear, repeated, generalized, hybrid, conformal)
    for design in module.designs()
]
