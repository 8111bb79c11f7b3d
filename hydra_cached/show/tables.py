"""Records of entries as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra_cached.inventory import Record


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Columns as wide as their widest cell; those in ``right`` are aligned to the right."""
    lines = [header, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]

    def text(line: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(text(line) for line in lines)


def entries_table(found: Sequence[Record]) -> str:
    """One line per entry, the youngest first; links are left out."""
    entries = sorted((r for r in found if not r.link), key=lambda record: record.created, reverse=True)
    rows = [
        (
            r.key[:12],
            r.damage or r.target,
            r.path,
            f"{r.seconds:.2f} s",
            size(r.size),
            r.created.replace("T", " "),
        )
        for r in entries
    ]
    return table(("key", "target", "path", "took", "size", "stored"), rows, frozenset({3, 4}))


def totals_table(totals: dict[str, Any]) -> str:
    """Counts, then one line per target, the most expensive first."""
    rows = [
        (name, str(row["entries"]), size(row["size"]), f"{row['seconds']:.2f} s")
        for name, row in sorted(totals["targets"].items(), key=lambda item: -item[1]["seconds"])
    ]
    rows.append(("all", str(totals["entries"]), size(totals["size"]), f"{totals['seconds']:.2f} s"))
    return table(("target", "entries", "size", "took"), rows, frozenset({1, 2, 3}))


def size(number: int) -> str:
    """Bytes for a person, in powers of ten."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
