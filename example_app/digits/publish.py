"""The last stage of the script's pipeline: shows the report to a person."""

from pathlib import Path

from digits.report import Report


def publish(report: Report, folder: str) -> float:
    """Print the score, write the pictures, return the accuracy.

    It has effects outside of its result, so its node says ``_cache_result_: False``: it is cheap, and it
    has to happen also when all that comes before was remembered.

    :param folder: where the pictures go; made if need be.
    """
    print(report)
    for path in report.write_pictures(Path(folder)):
        print(f"wrote {path}")
    return report.score["accuracy"]
