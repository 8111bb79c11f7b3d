"""Fingerprints that another process made, taken over where a look at the disk would give the same.

Reading and following source takes a second for a large project; to see that all of it is as it was takes some
milliseconds: every module that was looked for is looked for again, every file that was read is read again, and
its content compared, not its times.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from hydra_cached.keys.code.modules import Modules
from hydra_cached.keys.code.source import Located

_FORMAT = 1


def name_of(modules: Modules, target: str, scope: str) -> str:
    """What a fingerprint is remembered under: for one project, one Python and one version of this package."""
    located = modules.locate(target.partition(".")[0])
    where = None if located is None else [located.path, *located.search]
    said = [_FORMAT, target, scope, where, sys.version, sys.platform, os.name, _own()]
    return blake3(b"code" + json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()


def to_text(modules: Modules, facts: Mapping[str, Any]) -> str | None:
    """Facts that were found out, with all that they rest on, as text; None if that cannot be looked at again.

    Args:
        modules: the modules as they were; all that were looked at count, for whatever reason.
        facts: plain JSON data.
    """
    finder = modules.finder
    if any(located is not None and located.data is not None for located in finder.located().values()):
        return None
    record = {
        "facts": facts,
        "names": {name: _place(located) for name, located in finder.located().items()},
        "inside": finder.listed(),
        "contents": {name: modules.files[path].content for name, path in modules.paths.items()},
    }
    return base64.b85encode(zlib.compress(json.dumps(record).encode("ascii"), 1)).decode("ascii")


def from_text(modules: Modules, text: str) -> Mapping[str, Any] | None:
    """The facts of such a text, if all that they rest on is there and the same; None otherwise."""
    try:
        record = json.loads(zlib.decompress(base64.b85decode(text)))
        for name, place in record["names"].items():
            if _place(modules.locate(name)) != place:
                return None
        for name, inside in record["inside"].items():
            located = modules.locate(name)
            if located is None or modules.finder.submodules(located) != inside:
                return None
        if any(modules.content(name) != content for name, content in record["contents"].items()):
            return None
        facts = record["facts"]
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None
    return facts if isinstance(facts, dict) else None


def _place(located: Located | None) -> list[Any] | None:
    if located is None:
        return None
    owner = located.distribution
    return [located.path, list(located.search), located.owner, None if owner is None else list(owner)]


@functools.cache
def _own() -> str:
    """Which version of this package follows code."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [(file.name, (status := file.stat()).st_mtime_ns, status.st_size) for file in files]
    return blake3(repr(stamps).encode()).hexdigest()
