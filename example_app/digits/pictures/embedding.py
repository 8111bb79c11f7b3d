"""The embedding, coloured by digit."""

import numpy as np
from matplotlib import patheffects
from numpy.typing import NDArray

from digits.data import Digits
from digits.pictures.style import COLOURS, FAINT, INK, new_figure, png


def draw(digits: Digits, points: NDArray[np.floating], title: str) -> bytes:
    """Draw each scan as a dot, and each digit's numeral in the middle of its dots.

    :param points: (n, 2), one point per scan.
    :return: a PNG.
    """
    figure = new_figure(8, 8)
    axes = figure.add_subplot()
    halo = [patheffects.withStroke(linewidth=6, foreground="white")]
    for digit in np.unique(digits["labels"]):
        own = points[digits["labels"] == digit]
        axes.scatter(own[:, 0], own[:, 1], s=16, color=COLOURS[digit], alpha=0.75, linewidths=0)
        x, y = np.median(own, axis=0)
        axes.text(
            x, y, str(digit), fontsize=26, fontweight="bold", color=COLOURS[digit], ha="center", va="center",
            path_effects=halo,
        )  # fmt: skip
    axes.set_title(title, fontsize=15, color=INK, loc="left", pad=26)
    axes.text(
        0, 1.015, f"{len(points):,} scans, one dot each; coloured by what is written on them",
        transform=axes.transAxes, fontsize=10.5, color=FAINT,
    )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    return png(figure)
