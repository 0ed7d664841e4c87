"""Names of the types that many modules speak of."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]
Directions = tuple[FloatArray, ...]
Lam = tuple[FloatArray, ...]
# A function of some parameters with its first and its second derivatives.
Derivatives = tuple[FloatArray, FloatArray, FloatArray]
Message = tuple[str, type[Warning]]
Use = tuple[str, str]
Pair = tuple[int, int, int]
Draw = tuple[FloatArray, list[FloatArray]]
Progress = Callable[[int, list[int]], None]
ColumnName = str | int
GroupName = ColumnName | tuple[ColumnName, ...]
Labels = NDArray[Any]
# Of nested factors, and of each that they are nested in, which levels are in which.
Nesting = Mapping[str, Mapping[str, BoolArray]]
# M and s with which rows e of one frame are eM − s in another; M is None for the identity.
FrameChange = tuple[FloatArray | None, FloatArray]
# E of some frames, None for the identity.
Regressions = tuple[FloatArray | None, ...]
# Of a stratum: its number, sums and counts by pairs of visits, and those of neighbors.
Moments = tuple[int, FloatArray, FloatArray, FloatArray]
