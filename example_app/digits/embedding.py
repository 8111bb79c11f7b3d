"""The expensive stage: from 64 pixels to a point in the plane.

Both methods look at all scans, also at those on which the classifier is tested later, but never at a label.
Both run on one thread: sums that several threads add up come out differently on a machine with more of them.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE, Isomap
from threadpoolctl import threadpool_limits

from digits.data import Digits


def tsne(
    digits: Digits, perplexity: float = 30.0, max_iter: int = 1500, seed: int = 0
) -> NDArray[np.float32]:
    """t-SNE (van der Maaten & Hinton, JMLR 2008): neighbours stay neighbours, far distances mean little.

    :param perplexity: about how many neighbours each scan has.
    :param max_iter: steps of gradient descent; the running time is proportional to it.
    :param seed: makes the result reproducible.
    :return: (n, 2), one point per scan, without a unit.
    """
    method = TSNE(perplexity=perplexity, max_iter=max_iter, init="pca", random_state=seed)
    with threadpool_limits(1):
        points: NDArray[np.float32] = method.fit_transform(digits["scans"])
    return points


def isomap(digits: Digits, n_neighbors: int = 20) -> NDArray[np.float64]:
    """Isomap (Tenenbaum, de Silva & Langford, Science 2000): distances along the graph of neighbours.

    :param n_neighbors: how many neighbours each scan has in the graph; with too few it falls apart.
    :return: (n, 2), one point per scan, in grey values.
    """
    # The default solver starts from random numbers that no parameter seeds; the dense one gives equal results.
    method = Isomap(n_neighbors=n_neighbors, eigen_solver="dense")
    with threadpool_limits(1):
        points: NDArray[np.float64] = method.fit_transform(digits["scans"])
    return points
