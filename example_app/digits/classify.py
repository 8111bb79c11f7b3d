"""Reading the held-out digits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from digits.data import Digits
from digits.split import Split


def classify(
    classifier: Any, points: NDArray[np.floating], digits: Digits, split: Split
) -> NDArray[np.int64]:
    """Train on one part of the points, read the other.

    :param classifier: any scikit-learn classifier; it stays untrained, a copy of it learns.
    :param points: (n, d), one point per scan.
    :return: (n_test,), the digit read at each ``split["test"]``.
    """
    train, test = split["train"], split["test"]
    # The scale of an embedding means nothing, and most classifiers want it to be about 1.
    learner = make_pipeline(StandardScaler(), clone(classifier))
    trained = learner.fit(points[train], digits["labels"][train])
    prediction: NDArray[np.int64] = trained.predict(points[test])
    return prediction
