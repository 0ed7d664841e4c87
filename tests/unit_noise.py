"""Noise of which one number is 1, so that a draw shows what it multiplies that number by."""

import numpy as np


class UnitNoise:
    """In the place of a generator: one 1 among the numbers drawn, at `position`."""

    def __init__(self, position):
        self.position, self.n_drawn = position, 0

    def standard_normal(self, shape):
        out = np.zeros(shape)
        at = self.position - self.n_drawn
        if 0 <= at < out.size:
            out.flat[at] = 1.0
        self.n_drawn += out.size
        return out
