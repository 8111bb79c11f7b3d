"""The input: 8x8 scans of handwritten digits, which scikit-learn brings along (no download)."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


class Digits(TypedDict):
    """Scans and what is written on them, in the same order."""

    scans: NDArray[np.float64]  #: (n, 64): grey values of 8x8 pixels, row by row, 0 (paper) to 16 (ink)
    labels: NDArray[np.int64]  #: (n,): the digit, 0 to 9


def load(classes: Sequence[int] = tuple(range(10))) -> Digits:
    """Load the scans of the given digits.

    :param classes: digits to keep, e.g. ``[3, 5, 8]``; all ten give 1,797 scans.
    :raises ValueError: if fewer than two different digits are left, for then there is nothing to tell apart.
    """
    scans, labels = load_digits(return_X_y=True)
    kept = np.isin(labels, list(classes))
    if len(np.unique(labels[kept])) < 2:
        raise ValueError(f"classes must name at least two different digits from 0 to 9, got {list(classes)}")
    return Digits(scans=scans[kept], labels=labels[kept])
