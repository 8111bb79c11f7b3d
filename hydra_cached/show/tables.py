"""Records of entries as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
            r.damage or r.foreign or r.target,
            r.path,
            f"{r.seconds:.2f} s",
            size(r.size),
            r.created.replace("T", " "),
        )
        for r in entries
    ]
    return table(("key", "target", "path", "took", "size", "stored"), rows, frozenset({3, 4}))


_GROUPS = {
    "param": "parameters",
    "mode": "called with",
    "code": "code that was reached",
    "version": "versions",
    "file": "declared files",
    "result": "results that it received",
    "random": "global random state before",
}


def entry_text(manifest: Mapping[str, Any]) -> str:
    """All that is known of one entry: what it is, then the parts of its key by kind, then notes."""
    facts = [
        ("key", manifest.get("key")),
        ("target", manifest.get("target")),
        ("path", manifest.get("path") or "(the root)"),
        ("took", f"{manifest.get('seconds', 0.0):.3f} s"),
        ("size", size(int(manifest.get("size", 0)))),
        ("stored", str(manifest.get("created", "")).replace("T", " ")),
        ("content", str(manifest.get("content"))[:16]),
        ("python", manifest.get("python")),
        ("reason", manifest.get("miss") or "(unknown)"),
    ]
    lines = [f"{name:<8} {value}" for name, value in facts]
    groups: dict[str, list[tuple[str, str]]] = {}
    for part, value in manifest.get("parts", {}).items():
        kind, _, name = part.partition(" ")
        groups.setdefault(kind, []).append((name, value[:16] if len(value) >= 64 else value))
    for kind, title in _GROUPS.items():
        if kind in groups:
            width = max(len(name) for name, _ in groups[kind])
            lines += ["", f"{title}:", *(f"  {name:<{width}}  {value}" for name, value in groups[kind])]
    if manifest.get("notes"):
        lines += ["", "could not be followed:", *(f"  {note}" for note in manifest["notes"])]
    return "\n".join(lines)


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
