"""The scans that were misread, to see whether one would have done better oneself."""

import numpy as np
from numpy.typing import NDArray

from digits.data import Digits
from digits.pictures.style import FAINT, INK, new_figure, png
from digits.split import Split

COLUMNS = 8
ROWS = 3


def draw(digits: Digits, split: Split, prediction: NDArray[np.int64]) -> bytes:
    """Draw the first misread scans, with what is written and what was read.

    :param prediction: (n_test,), the digit read at each ``split["test"]``.
    :return: a PNG.
    """
    truth = digits["labels"][split["test"]]
    wrong = np.flatnonzero(prediction != truth)
    shown = wrong[: COLUMNS * ROWS]
    rows = max(1, -(-len(shown) // COLUMNS))

    figure = new_figure(9.6, 1.5 * rows + 0.9)
    figure.suptitle(
        f"Misread: {len(wrong)} of {len(truth)}"
        + (f", the first {len(shown)} of them" if len(shown) < len(wrong) else ""),
        fontsize=15, color=INK, x=0.01, ha="left",
    )  # fmt: skip
    for axes in figure.subplots(rows, COLUMNS, squeeze=False).flat:
        axes.set_axis_off()  # also those of an incomplete last row
    for axes, index in zip(figure.axes, shown, strict=False):
        number = split["test"][index]
        axes.imshow(digits["scans"][number].reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        axes.set_title(f"{truth[index]} read as {prediction[index]}", fontsize=10.5, color=INK, pad=4)
        axes.text(0.5, -0.06, f"scan {number}", transform=axes.transAxes, ha="center", va="top",
                  fontsize=8, color=FAINT)  # fmt: skip
    return png(figure)
