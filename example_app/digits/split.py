"""Which scans the classifier learns from, and on which it is tested."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from digits.data import Digits


class Split(TypedDict):
    """Row numbers into the arrays of :class:`digits.data.Digits`."""

    train: NDArray[np.int64]  #: (n_train,)
    test: NDArray[np.int64]  #: (n_test,)


def split(digits: Digits, test_share: float = 0.25, seed: int = 0, leave_out: Sequence[int] = ()) -> Split:
    """Hold out a share of the scans, the same of each digit.

    :param test_share: between 0 and 1.
    :param leave_out: numbers of scans (rows) to use for neither.
    """
    rows = np.setdiff1d(np.arange(len(digits["labels"])), np.asarray(leave_out, dtype=np.int64))
    train, test = train_test_split(
        rows, test_size=test_share, random_state=seed, stratify=digits["labels"][rows]
    )
    return Split(train=train, test=test)
