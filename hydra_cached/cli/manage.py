"""``hydra-cached``: look into a cache directory, check it, remove from it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra_cached.errors import HydraCachedError
from hydra_cached.inventory import NoSuchKey, find_key, manifest_of, read_record, records, totals
from hydra_cached.show.tables import entries_table, entry_text, totals_table
from hydra_cached.stores.local import LocalStore

OK, FOUND, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(prog="hydra-cached", description="Look into a cache of hydra-cached.")
    result.add_argument(
        "--dir", default=".hydra_cached", help="the cache's directory (default: .hydra_cached)"
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in (
        ("ls", "list the entries"),
        ("stats", "entries, sizes and times by target"),
        ("verify", "read every entry, check its digests, unpickle it"),
        ("show", "all that is known of one entry"),
        ("rm", "remove entries"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("--json", action="store_true", help="print JSON")
        if name == "show":
            command.add_argument("key", help="a key, or a beginning of it that only one has")
        if name == "rm":
            command.add_argument("keys", nargs="*", metavar="KEY", help="keys, or beginnings of them")
            command.add_argument("--all", action="store_true", help="every entry")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 if it found something wrong, 2 for wrong usage."""
    options = parser().parse_args(arguments)
    if not Path(options.dir).is_dir():
        print(f"hydra-cached: there is no directory {options.dir!r}; name one with --dir", file=sys.stderr)
        return USAGE
    store = LocalStore(options.dir)
    try:
        return int(_COMMANDS[options.command](store, options))
    except NoSuchKey as error:
        print(f"hydra-cached: {error}", file=sys.stderr)
        return USAGE
    except HydraCachedError as error:
        print(f"hydra-cached: {error}", file=sys.stderr)
        return FOUND


def _ls(store: LocalStore, options: argparse.Namespace) -> int:
    found = list(records(store))
    _print([dataclasses.asdict(record) for record in found], entries_table(found), options)
    return FOUND if any(record.damage for record in found) else OK


def _stats(store: LocalStore, options: argparse.Namespace) -> int:
    numbers = totals(list(records(store)))
    _print(numbers, totals_table(numbers), options)
    return OK


def _verify(store: LocalStore, options: argparse.Namespace) -> int:
    found = [record for key in store.keys() if (record := read_record(store, key, unpickle=True)) is not None]
    bad = [record for record in found if record.damage]
    lines = [
        *(f"{record.key[:16]}: {record.damage}" for record in bad),
        f"{len(found)} checked, {len(bad)} damaged",
    ]
    _print([dataclasses.asdict(record) for record in bad], "\n".join(lines), options)
    return FOUND if bad else OK


def _show(store: LocalStore, options: argparse.Namespace) -> int:
    manifest = manifest_of(store, find_key(store, options.key))
    _print(manifest, entry_text(manifest), options)
    return OK


def _rm(store: LocalStore, options: argparse.Namespace) -> int:
    if not options.keys and not options.all:
        print("hydra-cached rm: name keys, or --all", file=sys.stderr)
        return USAGE
    keys = list(store.keys()) if options.all else [find_key(store, key) for key in options.keys]
    gone = [key for key in keys if store.delete(key)]
    _print(gone, f"{len(gone)} removed", options)
    return OK


def _print(data: Any, text: str, options: argparse.Namespace) -> None:
    print(json.dumps(data, indent=2) if options.json else text)


_COMMANDS = {"ls": _ls, "stats": _stats, "verify": _verify, "show": _show, "rm": _rm}

if __name__ == "__main__":
    sys.exit(main())
