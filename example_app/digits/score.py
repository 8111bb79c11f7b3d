"""How well the held-out digits were read."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score

from digits.data import Digits
from digits.report import Score
from digits.split import Split


def score(digits: Digits, split: Split, prediction: NDArray[np.int64]) -> Score:
    """Compare what was read with what is written.

    :param prediction: (n_test,), the digit read at each ``split["test"]``.
    :return: plain numbers, so that whoever loads them needs neither numpy nor scikit-learn.
    """
    truth = digits["labels"][split["test"]]
    classes = np.unique(digits["labels"])
    mistakes = confusion_matrix(truth, prediction, labels=classes)
    np.fill_diagonal(mistakes, 0)
    row, column = np.unravel_index(mistakes.argmax(), mistakes.shape)
    return Score(
        accuracy=float((prediction == truth).mean()),
        macro_f1=float(f1_score(truth, prediction, average="macro")),
        held_out=len(truth),
        misread=int(mistakes.sum()),
        written=int(classes[row]),
        read_as=int(classes[column]),
        times=int(mistakes[row, column]),
    )
