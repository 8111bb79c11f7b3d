"""What gets imported along with a target, and what those imports do to others."""

from __future__ import annotations

import ast
from collections.abc import Callable

from hydra_cached.keys.code.bindings import Module, Unit
from hydra_cached.keys.code.effects import Effects
from hydra_cached.keys.code.resolve import Key
from hydra_cached.keys.code.source import parents

Pair = tuple[Module, Unit]


class Imports:
    """Modules that are imported by now, with the statements of theirs that act on more than their own names.

    Args:
        effects: says what statements do.
        take: called with each statement that counts because its module is imported.
        is_needed: whether a name is in use, so that statements that change its object count.

    Attributes:
        modules: imported modules by name.
        changers: name -> statements elsewhere that change its object.
        acting: module -> statements that act on something outside the project's variables.
    """

    def __init__(
        self, effects: Effects, take: Callable[[Module, Unit], None], is_needed: Callable[[Key], bool]
    ) -> None:
        self.modules: dict[str, Module] = {}
        self.changers: dict[Key, list[Pair]] = {}
        self.acting: dict[str, list[Unit]] = {}
        self._effects = effects
        self._resolver = effects.resolver
        self._known = effects.resolver.modules
        self._take = take
        self._is_needed = is_needed
        self._entered: dict[str, None] = {}
        self._subclasses = False

    def enter(self, name: str) -> None:
        """Note that a module gets imported, with its parents and all that it imports itself."""
        if name in self._entered or not self._known.is_first_party(name):
            return
        self._entered[name] = None
        for parent in parents(name):
            self.enter(parent)
        module = self._known.get(name)
        if module is None:
            return
        for base, member in module.loads:
            self.enter(base)
            if member is not None:
                self.enter_member(base, member)
        self.modules[name] = module
        for unit in module.units:
            if unit.in_main and name != "__main__":
                continue
            for key in sorted(self._effects.changes(module, unit)):
                self.add_changer(key, module, unit)
            if self._subclasses:
                self._add_subclass(module, unit)
        for unit in module.effects:
            if self._effects.is_effect(module, unit):
                self.acting.setdefault(name, []).append(unit)
                self._take(module, unit)

    def enter_member(self, name: str, member: str) -> None:
        """Note a ``from name import member``: the member may be a module."""
        module = self._known.get(name)
        if self._known.is_first_party(name) and (
            module is None or not self._resolver.defines(module, member)
        ):
            self.enter(f"{name}.{member}")

    def add_changer(self, key: Key, module: Module, unit: Unit) -> None:
        """Note that a statement changes what a name holds."""
        pairs = self.changers.setdefault(key, [])
        if not any(known is unit for _, known in pairs):
            pairs.append((module, unit))
        if self._is_needed(key):
            self._take(module, unit)

    def count_subclasses(self) -> None:
        """From now on, every imported subclass of a class in use counts."""
        if not self._subclasses:
            self._subclasses = True
            for module in list(self.modules.values()):
                for unit in module.units:
                    self._add_subclass(module, unit)

    def _add_subclass(self, module: Module, unit: Unit) -> None:
        for call in unit.calls if isinstance(unit.node, ast.ClassDef) else ():
            if call.kind == "bases":
                for meaning in self._resolver.meanings(module, call.function):
                    if meaning.key is not None:
                        self.add_changer(meaning.key, module, unit)

    def inside(self, package: str) -> list[str]:
        """Modules directly inside a package that are imported by now."""
        return [name for name in self.modules if name.rpartition(".")[0] == package]

    def ranks(self) -> dict[str, int]:
        """The order in which modules finish being imported, as far as it shows in their source.

        The first module to be entered comes first with all that it imports; modules that are imported by
        functions follow by name, for when that happens cannot be told.
        """
        ranks: dict[str, int] = {}
        seen: set[str] = set()
        first = next(iter(self._entered), "")
        for name in [first, *sorted(self.modules)]:
            self._rank(name, ranks, seen)
        return ranks

    def _rank(self, name: str, ranks: dict[str, int], seen: set[str]) -> None:
        if name in seen or name not in self._entered:
            return
        seen.add(name)
        for parent in parents(name):
            self._rank(parent, ranks, seen)
        module = self.modules.get(name)
        for base, member in module.loads if module is not None else ():
            self._rank(base, ranks, seen)
            if member is not None:
                self._rank(f"{base}.{member}", ranks, seen)
        ranks[name] = len(ranks)
