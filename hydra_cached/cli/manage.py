"""``hydra-cached``: look into a cache directory, check it, remove from it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_cached.config import read_options, signing_keys
from hydra_cached.errors import HydraCachedError, OptionError
from hydra_cached.inventory import Each, NoSuchKey, find_key, manifest_of, read_record, records, totals
from hydra_cached.opening import is_remote, local_path
from hydra_cached.show.tables import entries_table, entry_text, size, totals_table
from hydra_cached.stores.base import Store
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.sweep import HOUR, sweep
from hydra_cached.stores.trim import leased_keys, trim
from hydra_cached.stores.trust import PRIVATE, SHARED, exposure
from hydra_cached.units import parse_age, parse_size

if TYPE_CHECKING:
    from hydra_cached.stores.remote import RemoteStore

OK, FOUND, USAGE = 0, 1, 2
STORAGE_OPTIONS = "HYDRA_CACHED_STORAGE_OPTIONS"  # the environment variable


@dataclass(frozen=True)
class Cache:
    """What a command works on.

    Args:
        store: for looking: nothing is repaired, and nothing is unpickled that cannot be trusted.
        base: the same without what is around it.
        exposed: why nothing may be unpickled, if so.
        each: like ``map`` over keys, some at a time where that is quicker.
    """

    store: Store
    base: LocalStore | RemoteStore
    exposed: str | None = None
    each: Each = map


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(prog="hydra-cached", description="Look into a cache of hydra-cached.")
    result.add_argument(
        "--dir", default=".hydra_cached", help="the cache's directory, or its URL (default: .hydra_cached)"
    )
    result.add_argument(
        "--storage-options",
        metavar="JSON",
        type=_checked(_json_object),
        default=os.environ.get(STORAGE_OPTIONS, "{}"),
        help=f"what fsspec hands to a URL's file system; secrets belong into the variable {STORAGE_OPTIONS}, "
        "for others can read command lines",
    )
    result.add_argument(
        "--signing-key-from",
        metavar="VARIABLE",
        help="environment variable that holds the cache's signing key: only what is signed with it is read",
    )
    result.add_argument(
        "--shared", action="store_true", help="trust the directory though others can write to it"
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in (
        ("ls", "list the entries"),
        ("stats", "entries, sizes and times by target"),
        ("verify", "read every entry, check its digests and signature, unpickle it; repairs nothing"),
        ("show", "all that is known of one entry"),
        ("gc", "remove what is worth least, links that lead nowhere, and what killed processes left"),
        ("rm", "remove entries"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("--json", action="store_true", help="print JSON")
        if name == "show":
            command.add_argument("key", help="a key, or a beginning of it that only one has")
        if name == "gc":
            command.add_argument(
                "--max-size",
                type=_checked(parse_size),
                metavar="SIZE",
                help="bytes to keep at most, such as 20GB",
            )
            command.add_argument(
                "--max-age",
                type=_checked(parse_age),
                metavar="AGE",
                help="remove what nobody used for so long, such as 30d",
            )
            command.add_argument(
                "--dry-run", action="store_true", help="say what would go, and remove nothing"
            )
        if name == "rm":
            command.add_argument("keys", nargs="*", metavar="KEY", help="keys, or beginnings of them")
            command.add_argument("--all", action="store_true", help="every entry")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 if it found something wrong, 2 for wrong usage."""
    options = parser().parse_args(arguments)
    if not is_remote(options.dir) and not Path(local_path(options.dir)).is_dir():
        print(f"hydra-cached: there is no directory {options.dir!r}; name one with --dir", file=sys.stderr)
        return USAGE
    try:
        return int(_COMMANDS[options.command](_opened(options), options))
    except (NoSuchKey, OptionError) as error:
        print(f"hydra-cached: {error}", file=sys.stderr)
        return USAGE
    except (HydraCachedError, OSError) as error:
        print(f"hydra-cached: {error}", file=sys.stderr)
        return FOUND


def _opened(options: argparse.Namespace) -> Cache:
    keys = _keys(options)
    thorough = options.command == "verify"
    if is_remote(options.dir):
        from hydra_cached.stores.glimpses import Glimpses
        from hydra_cached.stores.remote import RemoteStore

        remote = RemoteStore(options.dir, options.storage_options, once=False)
        looking: Store = remote if thorough else Glimpses(remote)
        return Cache(SignedStore(looking, keys) if keys else looking, remote, each=remote.side_by_side)
    root = Path(local_path(options.dir))
    exposed = exposure(root)
    others = bool(keys) or options.shared or exposed is not None
    access = SHARED if options.shared else dataclasses.replace(PRIVATE, others=others)
    store = LocalStore(root, access, mapped=not keys, thorough=thorough, repairs=False, once=False)
    unpickle = options.shared or bool(keys)
    return Cache(SignedStore(store, keys) if keys else store, store, None if unpickle else exposed)


def _keys(options: argparse.Namespace) -> list[str]:
    variable = options.signing_key_from
    if variable is None:
        return []
    if variable not in os.environ:
        raise OptionError("signing_key", f"there is no environment variable {variable}")
    return signing_keys(read_options(signing_key=os.environ[variable]))


def _ls(cache: Cache, options: argparse.Namespace) -> int:
    found = list(records(cache.store, cache.each))
    _print([dataclasses.asdict(record) for record in found], entries_table(found), options)
    return FOUND if any(record.damage for record in found) else OK


def _stats(cache: Cache, options: argparse.Namespace) -> int:
    numbers = totals(list(records(cache.store, cache.each)))
    _print(numbers, totals_table(numbers), options)
    return OK


def _verify(cache: Cache, options: argparse.Namespace) -> int:
    exposed = cache.exposed
    keys = list(cache.store.keys())
    found = [
        record
        for key in keys
        if (record := read_record(cache.store, key, unpickle=exposed is None)) is not None
    ]
    bad = [record for record in found if record.damage]
    foreign = [record for record in found if record.foreign]
    loose = len({record.link for record in found if record.link} - set(keys))
    lines = [
        *(f"{record.key[:16]}: {record.damage or record.foreign}" for record in (*bad, *foreign)),
        *([f"nothing was unpickled: {exposed}"] if exposed else []),
        f"{len(found)} checked, {len(bad)} damaged"
        + (f", {len(foreign)} foreign" if foreign else "")
        + (f"; {loose} results that links lead to are gone, which does no harm" if loose else ""),
    ]
    _print([dataclasses.asdict(record) for record in (*bad, *foreign)], "\n".join(lines), options)
    return FOUND if bad else OK


def _gc(cache: Cache, options: argparse.Namespace) -> int:
    base = cache.base
    if isinstance(base, LocalStore):
        leased = leased_keys(base.root)
    else:
        leased = base.leased()
    if not options.dry_run:
        if isinstance(base, LocalStore):
            sweep(base.root, time.time() - HOUR)
        else:
            base.sweep(HOUR)
    done = trim(base, Bounds(options.max_size, options.max_age), keep=leased, dry=options.dry_run)
    gone = "would be removed" if options.dry_run else "removed"
    lines = [
        *(key[:16] for key in done.gone if options.dry_run),
        *(f"{key[:16]}: cannot be removed" for key in done.failed),
        f"{len(done.gone)} {gone}, {size(done.freed)}; {size(done.size)} left",
    ]
    _print(dataclasses.asdict(done), "\n".join(lines), options)
    return FOUND if done.failed else OK


def _show(cache: Cache, options: argparse.Namespace) -> int:
    manifest = manifest_of(cache.store, find_key(cache.store, options.key))
    _print(manifest, entry_text(manifest), options)
    return OK


def _rm(cache: Cache, options: argparse.Namespace) -> int:
    if not options.keys and not options.all:
        print("hydra-cached rm: name keys, or --all", file=sys.stderr)
        return USAGE
    store = cache.store
    keys = list(store.keys()) if options.all else [find_key(store, key) for key in options.keys]
    gone = [key for key in keys if store.delete(key)]
    _print(gone, f"{len(gone)} removed", options)
    return OK


def _print(data: Any, text: str, options: argparse.Namespace) -> None:
    print(json.dumps(data, indent=2) if options.json else text)


def _json_object(text: str) -> dict[str, Any]:
    """A JSON object; errors do not quote it."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('must be a JSON object, such as {"endpoint_url": "http://localhost:9000"}')
    return found


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of argparse's, which keeps the words of an error."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


_COMMANDS: dict[str, Callable[[Cache, argparse.Namespace], int]] = {
    "ls": _ls,
    "stats": _stats,
    "verify": _verify,
    "show": _show,
    "gc": _gc,
    "rm": _rm,
}

if __name__ == "__main__":
    sys.exit(main())
