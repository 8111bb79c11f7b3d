"""The example as a Python module for the ``instantiate`` script: stages are callables, shared ones variables.

Run it from this folder: ``instantiate pipeline -p -c CACHE_DIR``, or ``instantiate pipeline -o careful ...``
to leave out the scans that ``leave_out.txt`` lists.
"""

from pathlib import Path
from typing import Any

from sklearn.neighbors import KNeighborsClassifier

from digits.classify import classify
from digits.data import load
from digits.embedding import tsne
from digits.leave_out import read
from digits.pictures import confusion, mistakes
from digits.pictures import embedding as embedding_picture
from digits.publish import publish
from digits.report import Report
from digits.score import score
from digits.split import split

Node = dict[str, Any]

HERE = Path(__file__).parent

data: Node = {"_target_": load}
embedding: Node = {"_target_": tsne, "digits": data, "perplexity": 30, "max_iter": 1500, "seed": 0}
classifier: Node = {"_target_": KNeighborsClassifier, "n_neighbors": 5}


def reading_test(parts: Node) -> Node:
    """The stages that come after the scans were split into ``parts``, down to the printed report."""
    prediction = {
        "_target_": classify,
        "classifier": classifier,
        "points": embedding,
        "digits": data,
        "split": parts,
    }
    of_prediction = {"digits": data, "split": parts, "prediction": prediction}
    report = {
        "_target_": Report,
        "_convert_": "all",
        "score": {"_target_": score, **of_prediction},
        "pictures": {
            "embedding": {
                "_target_": embedding_picture.draw,
                "digits": data,
                "points": embedding,
                "title": "Scanned digits, placed by likeness",
            },
            "confusion": {"_target_": confusion.draw, **of_prediction},
            "mistakes": {"_target_": mistakes.draw, **of_prediction},
        },
    }
    # Printing and writing files happen in every run, whatever was remembered.
    return {"_target_": publish, "_cache_result_": False, "report": report, "folder": "pictures"}


all_scans: Node = {"_target_": split, "digits": data, "test_share": 0.25, "seed": 0}
config = reading_test(all_scans)

# `read` is marked @not_deterministic: the file is read in every run. As long as equal numbers come out of it,
# all that follows is remembered; other numbers repeat the split and what depends on it, never the embedding.
careful = reading_test({**all_scans, "leave_out": {"_target_": read, "path": str(HERE / "leave_out.txt")}})

# What app.py wants: `python app.py --config-path py://pipeline --config-name for_app cache=disk`
for_app: Node = {
    "defaults": [{"cache": "off"}, "_self_"],
    "cache": {"min_seconds": 0},
    "pipeline": config["report"],
}
