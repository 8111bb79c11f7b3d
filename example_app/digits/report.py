"""What the pipeline hands out: plain numbers and PNG bytes.

Nothing here imports numpy, scikit-learn or matplotlib, so that a remembered report is back in milliseconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Score(TypedDict):
    """How well the held-out digits were read."""

    accuracy: float  #: share of them that was read right, 0 to 1
    macro_f1: float  #: F1, averaged over the digits, 0 to 1
    held_out: int  #: how many there were
    misread: int  #: how many of them were read wrong
    written: int  #: the most frequent mistake: this digit ...
    read_as: int  #: ... was taken for that one ...
    times: int  #: ... so many times


@dataclass(frozen=True)
class Report:
    """The end of the pipeline."""

    score: Score
    pictures: dict[str, bytes]  #: name (without suffix) to PNG

    def __str__(self) -> str:
        score = self.score
        lines = [
            f"accuracy    {score['accuracy']:.4f}   ({score['misread']} of {score['held_out']} digits misread)",
            f"macro F1    {score['macro_f1']:.4f}",
        ]
        if score["misread"]:
            lines.append(
                f"most often  {score['written']} read as {score['read_as']}  ({score['times']} times)"
            )
        return "\n".join(lines)

    def write_pictures(self, folder: Path) -> list[Path]:
        """Write each picture to ``folder/<name>.png``, which is made if need be; return the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.png" for name in self.pictures]
        for path, picture in zip(paths, self.pictures.values(), strict=True):
            path.write_bytes(picture)
        return paths
