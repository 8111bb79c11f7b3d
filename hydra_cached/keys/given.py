"""What a stage is handed that somebody else still holds: objects of the caller, in Hydra 1.4 also the app's config.

Such an object may stand in the result (a scheduler and its optimizer), and be changed by the target. So a result is
kept with references to what was handed over, which a hit resolves to what is handed over now; and not at all, if
the target changed one of them, for a hit would not.
"""

from __future__ import annotations

import datetime
import enum
import numbers
import re
import types
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

from blake3 import blake3

from hydra_cached.errors import HandedOther
from hydra_cached.keys.canonical import CodeOf
from hydra_cached.keys.key import Items, Leaf, Part, Stage, filled, matches

# Of these one is as good as another that is equal.
PLAIN = (
    str,
    bytes,
    numbers.Number,
    type(None),
    enum.Enum,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    uuid.UUID,
    re.Pattern,
    range,
    slice,
)
Step = tuple[str, ...]
Reference = tuple[str, tuple[Step, ...]]  # the digest of an object's content, and where it is handed over


@dataclass(frozen=True)
class Given:
    """What one stage is handed.

    Args:
        stage: the stage.
    """

    stage: Stage

    @cached_property
    def _places(self) -> dict[int, tuple[Leaf | Items, list[Step]]]:
        places: dict[int, tuple[Leaf | Items, list[Step]]] = {}
        for path, part in self._all():
            places.setdefault(id(part.value), (part, []))[1].append(path)
        return places

    def reference(self, value: Any) -> Reference | None:
        """What a kept result says in the place of a value that was handed over; None if this was not."""
        found = self._places.get(id(value))
        return None if found is None else (_digest(found[0]), tuple(found[1]))

    def find(self, reference: Reference) -> Any:
        """The object that is handed over now where that one was.

        Raises:
            HandedOther: it is another one, or several.
        """
        digest, places = reference
        here = dict(self._all())
        found = [here[path] for path in places if path in here]
        one = len(found) == len(places) and len({id(part.value) for part in found}) == 1
        if not one or _digest(found[0]) != digest:
            raise HandedOther(f"it holds what was handed over as {'.'.join(places[0])}, which is another now")
        return found[0].value

    def changed(self, code_of: CodeOf) -> str | None:
        """Where something stands that is not any more as it was when the stage was read; None if nothing is."""
        for path, part in self._all(inner=False):
            if not matches(part, part.value, code_of) or _grown(part):
                return ".".join(path)
        return None

    def _all(self, *, inner: bool = True) -> Iterator[tuple[Step, Leaf | Items]]:
        """What is handed over, and where; on demand also what stands within config containers that are."""
        pending: list[tuple[Step, Part]] = [((), self.stage)]
        while pending:
            path, part = pending.pop()
            if isinstance(part, Stage):
                pending.extend(((*path, name), each) for name, each in part.params.items())
            elif isinstance(part, Items):
                if part.value is not None:
                    yield path, part
                    if not inner:
                        continue
                each = zip(part.names, part.parts, strict=True)
                pending.extend(((*path, str(name)), within) for name, within in each)
            elif not isinstance(part.value, PLAIN):
                yield path, part


def _grown(part: Leaf | Items) -> bool:
    if not isinstance(part, Items):
        return False
    inner = (each for each in part.parts if isinstance(each, Items))
    return len(part.value) != len(part.names) or any(
        each.value is not None and _grown(each) for each in inner
    )


def _digest(part: Leaf | Items) -> str:
    if isinstance(part, Leaf):
        return blake3(part.code).hexdigest()
    return blake3(filled(part, lambda stage: b"")).hexdigest()
