"""A module as a table: which statement binds, changes or uses which of its names.

Only what an import executes is looked at here (not the bodies of functions), so tables are cheap; the
normal form of a statement is made when somebody asks for it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

from hydra_cached.keys.code.normal import Form, form_of
from hydra_cached.keys.code.syntax import Absolute, Chain
from hydra_cached.keys.code.walk import Context

_BUILTINS = frozenset(dir(builtins))


@dataclass
class Call:
    """A call (or the use of a decorator) that an import executes.

    Attributes:
        function: what is called.
        given: mentions that are passed to it.
        kind: "bare" (its result is dropped), "value", "decorator", "decorator-call" or "bases".
    """

    function: Chain
    given: list[Chain]
    kind: str


@dataclass
class Unit:
    """One statement of a module, or one name of an import.

    Attributes:
        index: its place in the module.
        node: the statement.
        guards: the ``if`` tests around it, each with the branch in which it stands.
        binds: names that it binds, rebinds or deletes.
        stores: objects that it changes by assignment, see :func:`changed_chain`.
        calls: calls that an import executes.
        reads: first names of what an import reads for it.
        is_import: it does nothing but import.
        in_main: it stands in an ``if __name__ == "__main__"`` block.
    """

    index: int
    node: ast.stmt
    guards: tuple[tuple[str, ast.expr], ...] = ()
    binds: set[str] = field(default_factory=set)
    stores: list[Chain] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    is_import: bool = False
    in_main: bool = False
    _forms: dict[tuple[bool, bool], Form] = field(default_factory=dict)

    def form(self, module: Module, annotations: bool, docs: bool) -> Form:
        """The normal form and mentions; ``annotations``, ``docs``: whether these count."""
        found = self._forms.get((annotations, docs))
        if found is None:
            context = Context(
                module.package,
                module.name,
                module.full_name,
                module.imports,
                annotations,
                docs,
                module.future,
            )
            found = self._forms[annotations, docs] = form_of([*self.guards, ("", self.node)], context)
        return found


@dataclass
class Module:
    """A parsed first-party module.

    Attributes:
        name: dotted name; ``package``: what its relative imports start from.
        units: its statements, in order; branches of ``if`` and names of imports are units of their own.
        binders: name -> units that bind it.
        imports: name -> what it means, for names bound by imports.
        stars: (unit, module) of each ``from module import *``.
        loads: modules that are imported along with it, in order.
        effects: units that do something besides binding names.
        exported: ``__all__`` if it is written out; None if there is none, or it is computed.
        future: it has ``from __future__ import annotations``.
        names_are_computed: it may bind names that cannot be seen, by ``globals()`` and the like.
        checked_only: names that exist for type checkers only.
        opaque: digest of its content, for what cannot be parsed (extension modules, broken source).
    """

    name: str
    package: str
    path: str
    tree: ast.Module
    units: list[Unit] = field(default_factory=list)
    binders: dict[str, list[Unit]] = field(default_factory=dict)
    imports: dict[str, list[Absolute]] = field(default_factory=dict)
    stars: list[tuple[Unit, str]] = field(default_factory=list)
    loads: list[tuple[str, str | None]] = field(default_factory=list)
    effects: list[Unit] = field(default_factory=list)
    exported: frozenset[str] | None = None
    future: bool = False
    names_are_computed: bool = False
    checked_only: set[str] = field(default_factory=set)
    opaque: str | None = None

    def live_binders(self, name: str) -> list[Unit]:
        """Units that bind a name when the module is imported (or run, for a script)."""
        found = self.binders.get(name, [])
        return found if self.name == "__main__" else [unit for unit in found if not unit.in_main]

    def full_name(self, chain: Chain) -> str | None:
        """Full dotted name of an imported or built-in name; None where this module defines it."""
        root = chain[0]
        targets = self.imports.get(root)
        if targets:
            base, rest = targets[0]
            return ".".join((base, *rest, *chain[1:]))
        if root not in self.binders and root in _BUILTINS:
            return ".".join(("builtins", *chain))
        if root == "TYPE_CHECKING" and all(_is_false(unit.node) for unit in self.binders.get(root, ())):
            return "typing.TYPE_CHECKING"
        return None

    def strings(self) -> Iterator[str]:
        """All constant strings without blanks; one of them may name a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if (
                    node.value
                    and len(node.value) < 200
                    and not node.value[0].isspace()
                    and " " not in node.value
                ):
                    yield node.value


def _is_false(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and value.value is False
