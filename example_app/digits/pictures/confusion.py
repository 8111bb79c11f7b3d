"""The confusion matrix."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from digits.data import Digits
from digits.pictures.style import FAINT, INK, new_figure, png
from digits.split import Split

RIGHT = LinearSegmentedColormap.from_list("right", ["#ffffff", "#4269d0"])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffe3de", "#c8321a"])


def draw(digits: Digits, split: Split, prediction: NDArray[np.int64]) -> bytes:
    """Draw how often each digit was read as each: right ones blue, mistakes red.

    :param prediction: (n_test,), the digit read at each ``split["test"]``.
    :return: a PNG.
    """
    truth = digits["labels"][split["test"]]
    classes = np.unique(digits["labels"])
    counts = confusion_matrix(truth, prediction, labels=classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    figure = new_figure(7.2, 7.4)
    axes = figure.add_subplot()
    right = np.eye(len(classes), dtype=bool)
    axes.imshow(np.ma.masked_where(~right, shares), cmap=RIGHT, vmin=0, vmax=1)
    # A tenth of a digit's scans read as one other digit is bad enough for the darkest red.
    axes.imshow(np.ma.masked_where(right | (counts == 0), shares), cmap=WRONG, vmin=0, vmax=0.1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = shares[row, column] > (0.5 if row == column else 0.05)
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=11, color="white" if dark else INK
            )
    ticks = range(len(classes))
    axes.set_xticks(ticks, [str(digit) for digit in classes], fontsize=12, color=INK)
    axes.set_yticks(ticks, [str(digit) for digit in classes], fontsize=12, color=INK)
    axes.set_xlabel("read as", fontsize=12, color=INK, labelpad=8)
    axes.set_ylabel("written", fontsize=12, color=INK, labelpad=8)
    axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e9ec", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    misread = int(counts.sum() - np.trace(counts))
    axes.set_title(f"{misread} of {len(truth)} digits misread", fontsize=15, color=INK, loc="left", pad=26)
    axes.text(
        0, 1.02, "held-out scans; blue: read right, red: mistaken for another digit",
        transform=axes.transAxes, fontsize=10.5, color=FAINT,
    )  # fmt: skip
    return png(figure)
