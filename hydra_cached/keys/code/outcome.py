"""The outcome of a walk: what a target consists of, by name, with digests."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from blake3 import blake3

from hydra_cached.keys.code.bindings import Module, Unit
from hydra_cached.keys.code.imports import Pair
from hydra_cached.keys.code.reach import AS_VALUE, Reach
from hydra_cached.keys.code.resolve import Key


class Outcome:
    """Reads the outcome off a finished walk."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._imports = reach.imports
        self._effects = reach.effects
        self._resolver = reach.effects.resolver
        self._modules = reach.effects.resolver.modules

    def parts(self) -> dict[str, str]:
        """Digests by name; see :class:`hydra_cached.keys.code.Fingerprint`."""
        rank = self._imports.ranks()
        found: dict[str, str] = dict(self._reach.distributions)
        ordered: set[str] = set()
        for key in self._reach.needed:
            pairs = self._units_of(key, rank)
            if pairs:
                found[".".join(key)] = self._digest(pairs)
                if len({module.name for module, _ in pairs}) > 1:
                    ordered.update(module.name for module, _ in pairs)
        for name, units in self._imports.acting.items():
            found[f"{name}:<module level>"] = self._digest(
                (self._imports.modules[name], unit) for unit in units
            )
            ordered.add(name)
        for name in self._reach.whole:
            module = self._modules.get(name)
            if module is not None:
                # In no order: where it matters, the parts of the single names hold it.
                pairs = [pair for taken, pair in self._reach.taken.items() if taken[0] == name]
                digest = _hexdigest(sorted(self._digest([pair]) for pair in pairs))
                found[f"whole module {name}"] = module.opaque or digest
        for name, module in self._imports.modules.items():
            doc = (
                ast.get_docstring(module.tree, clean=False)
                if (name, "__doc__") in self._reach.needed
                else None
            )
            if doc is not None:
                found[f"{name}.__doc__"] = _hexdigest([doc])
        if len(ordered) > 1:
            found["order of imports"] = _hexdigest(sorted(ordered, key=lambda name: rank.get(name, -1)))
        return found

    def _units_of(self, key: Key, rank: dict[str, int]) -> list[Pair]:
        """The statements behind a name in the order in which they run."""
        module = self._modules.get(key[0])
        pairs = [(module, unit) for unit in module.live_binders(key[1])] if module is not None else []
        pairs += self._imports.changers.get(key, [])
        executed = {(m.name, unit.index) for m, unit in pairs if not unit.is_import}
        if module is not None and len(executed) > 1:
            # Reading a name between two changes of it is not the same as reading it after both.
            for name, index in self._reach.taken:
                unit = module.units[index] if name == module.name else None
                if unit is not None and (key[1] in unit.reads or self._runs_reader(module, unit, key)):
                    pairs.append((module, unit))
        unique = {
            (m.name, unit.index): (m, unit) for m, unit in pairs if (m.name, unit.index) in self._reach.taken
        }
        return sorted(unique.values(), key=lambda pair: (rank.get(pair[0].name, -1), pair[1].index))

    def _runs_reader(self, module: Module, unit: Unit, key: Key) -> bool:
        for call in unit.calls:
            for meaning in self._resolver.meanings(module, call.function) if call.kind != "bases" else ():
                if meaning.key is not None and key in self._effects.read(meaning.key):
                    return True
        return False

    def _digest(self, pairs: Iterable[Pair]) -> str:
        digests: list[str] = []
        for module, unit in pairs:
            form = unit.form(module, *self._reach.counts((module.name, unit.index)))
            if not (unit.is_import and form.digest in digests):
                digests.append(form.digest)
        return _hexdigest(digests)

    def files(self) -> set[str]:
        """Source files that were taken into account."""
        return {self._modules.paths[name] for name in self._imports.modules}

    def notes(self) -> set[str]:
        """What could not be followed statically, in words for a person."""
        found = set(self._reach.hints)
        for name, reasons in self._reach.whole.items():
            reasons = reasons - {AS_VALUE} or reasons
            found.update(f"{name}: {reason}: the whole module counts" for reason in reasons)
        return found


def _hexdigest(texts: Iterable[str]) -> str:
    return blake3("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
