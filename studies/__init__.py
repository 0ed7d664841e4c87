"""Simulation studies: how far off estimates are, and how often intervals hold and tests reject.

python -m studies                 # all designs, and the pages from what they gave
python -m studies --only "Few"    # those whose name has this in it; the others stay
python -m studies --page          # the pages docs/simulations*.md alone, from studies/results.json
"""
