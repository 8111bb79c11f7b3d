"""A file that a person edits: scans that are better left out."""

from pathlib import Path

from hydra_cached import not_deterministic


@not_deterministic  # the file may change at any time: read it in every run, and compare what was read
def read(path: str) -> list[int]:
    """Read row numbers of scans, one per line; ``#`` starts a comment.

    Other comments or another order of the lines give an equal result, hence nothing that uses it runs again.

    :return: the numbers, sorted, each once.
    :raises ValueError: for a line that is not a number, naming it.
    """
    numbers = set()
    for position, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if content and not content.isdecimal():
            raise ValueError(f"{path}, line {position}: expected the number of a scan, got {content!r}")
        if content:
            numbers.add(int(content))
    return sorted(numbers)
