"""What a mention means: which module-level name of which module, across imports and re-exports."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from hydra_cached.keys.code.bindings import Module, Unit
from hydra_cached.keys.code.modules import Modules
from hydra_cached.keys.code.syntax import Chain, chain_of

Key = tuple[str, str]  # (module, name)


@dataclass(frozen=True)
class Meaning:
    """What a mention denotes.

    Attributes:
        key: the first-party (module, name), or None for what is outside the project.
        rest: attributes taken from it.
        external: full dotted name of what is outside.
    """

    key: Key | None
    rest: Chain = ()
    external: str = ""


class Resolver:
    """Resolves mentions in one look; see :class:`Modules`."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self._provides: dict[tuple[str, str], bool] = {}
        self._kinds: dict[Key, str] = {}
        self._meanings: dict[tuple[str, Chain], list[Meaning]] = {}

    def meanings(self, module: Module, chain: Chain, seen: frozenset[Key] = frozenset()) -> list[Meaning]:
        """All that a mention inside a module may denote, in no particular order."""
        if seen:
            return self._find_meanings(module, chain, seen)
        key = (module.name, chain)
        if key not in self._meanings:
            self._meanings[key] = self._find_meanings(module, chain, seen)
        return self._meanings[key]

    def _find_meanings(self, module: Module, chain: Chain, seen: frozenset[Key]) -> list[Meaning]:
        root, here = chain[0], (module.name, chain[0])
        if here in seen:
            return []
        seen |= {here}
        found: list[Meaning] = []
        if any(not unit.is_import for unit in module.live_binders(root)):
            found.append(Meaning(here, chain[1:]))
        for base, rest in module.imports.get(root, ()):
            found += self.from_module(base, rest + chain[1:], seen)
        for _, source in module.stars:
            if self.provides(source, root):
                found += self.from_module(source, chain, seen)
        if not found and root not in module.binders:
            full_name = module.full_name(chain)
            if full_name is not None:
                found.append(Meaning(None, external=full_name))
        return found

    def from_module(self, name: str, chain: Chain, seen: frozenset[Key] = frozenset()) -> list[Meaning]:
        """What ``name.chain`` denotes, where ``name`` is a module."""
        if not self.modules.is_first_party(name):
            return [Meaning(None, external=".".join((name, *chain)))]
        if not chain:
            return []
        module = self.modules.get(name)
        found: list[Meaning] = []
        if module is not None and self.defines(module, chain[0]):
            found = self.meanings(module, chain, seen)
        submodule = f"{name}.{chain[0]}"
        if not found and self.modules.locate(submodule) is not None:
            return self.from_module(submodule, chain[1:], seen)
        if not found and module is not None:
            return [Meaning((name, chain[0]), chain[1:])]  # set from outside, if at all
        return found

    def defines(self, module: Module, name: str) -> bool:
        """Whether a module binds a name itself, otherwise than by importing its own submodule."""
        targets = module.imports.get(name)
        if targets is not None and targets == [(module.name, (name,))]:
            return any(not unit.is_import for unit in module.live_binders(name))
        if module.live_binders(name):
            return True
        return any(self.provides(source, name) for _, source in module.stars)

    def provides(self, source: str, name: str) -> bool:
        """Whether ``from source import *`` binds a name (certainly or, for foreign modules, never)."""
        key = (source, name)
        if key not in self._provides:
            self._provides[key] = False  # star imports may be circular
            module = self.modules.get(source)
            if module is not None:
                if module.exported is not None:
                    known = name in module.exported
                else:
                    known = not name.startswith("_") or "__all__" in module.binders
                # A package's modules are among its names once they are imported.
                self._provides[key] = known and (
                    self.defines(module, name) or self.modules.is_first_party(f"{source}.{name}")
                )
        return self._provides[key]

    def kind(self, key: Key) -> str:
        """How a name is bound: "function", "class", "constant" (immutable), "logger" or "variable"."""
        if key not in self._kinds:
            module = self.modules.get(key[0])
            kinds = {_kind(module, unit) for unit in module.live_binders(key[1])} if module else set()
            self._kinds[key] = kinds.pop() if len(kinds) == 1 else "variable"
        return self._kinds[key]


def _kind(module: Module, unit: Unit) -> str:
    node = unit.node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "function"
    if isinstance(node, ast.ClassDef):
        return "class"
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        if is_immutable(node.value):
            return "constant"
        chain = chain_of(node.value.func) if isinstance(node.value, ast.Call) else None
        full_name = module.full_name(chain) if chain is not None else None
        if full_name in ("logging.getLogger", "structlog.get_logger", "loguru.logger", "logging.Logger"):
            return "logger"
    return "variable"


def is_immutable(node: ast.AST) -> bool:
    """Whether an expression is a literal that nothing can change."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Tuple):
        return all(is_immutable(element) for element in node.elts)
    if isinstance(node, ast.UnaryOp):
        return is_immutable(node.operand)
    if isinstance(node, ast.BinOp):
        return is_immutable(node.left) and is_immutable(node.right)
    return isinstance(node, ast.JoinedStr)
