"""What an import executes: the statements of a module without the bodies of its functions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from hydra_cached.keys.code.bindings import Call, Module, Unit
from hydra_cached.keys.code.syntax import Chain, chain_of, changed_chain, imported, live_branch


class Executed:
    """Collects, for one unit, what happens when its module is imported."""

    def __init__(self, module: Module, unit: Unit) -> None:
        self.module = module
        self.unit = unit
        self._kind = "value"

    def statement(self, node: ast.AST, hidden: frozenset[str]) -> None:
        """Look at a statement or expression; ``hidden``: names that belong to a class body around it."""
        unit = self.unit
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.bind(node.name, hidden)
            self.decorators(node.decorator_list, hidden)
            self.several([*node.args.defaults, *(d for d in node.args.kw_defaults if d)], hidden)
        elif isinstance(node, ast.Lambda):
            self.several([*node.args.defaults, *(d for d in node.args.kw_defaults if d)], hidden)
        elif isinstance(node, ast.ClassDef):
            self.class_(node, hidden)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.import_(node, hidden)
        elif isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(value, ast.Call):
                self.call(value, "bare", hidden)
            else:
                # `test and f()`, `[f(x) for x in y]`: still nobody takes what f returns.
                self._kind = "bare"
                self.statement(node.value, hidden)
                self._kind = "value"
        elif isinstance(node, ast.Call):
            self.call(node, self._kind, hidden)
        elif isinstance(node, ast.Assign) and _is_discarded(node):
            self.call(node.value, "bare", hidden)  # type: ignore[arg-type]
            unit.binds.add("_")
        elif isinstance(node, ast.AnnAssign):
            self.several([node.target, *([node.value] if node.value is not None else [])], hidden)
        elif isinstance(node, ast.If) and (live := live_branch(node, self.module.full_name)) is not None:
            self.several(live, hidden)
        elif isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                self.bind(node.id, hidden)
            else:
                unit.reads.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            if not isinstance(node.ctx, ast.Load):
                chain = changed_chain(node)
                if chain is not None and chain[0] not in hidden:
                    unit.stores.append(chain)
                root: ast.expr = node
                while isinstance(root, (ast.Attribute, ast.Subscript)):
                    root = root.value
                if isinstance(root, ast.Call):
                    self.call(root, "bare", hidden)  # `f().x = 1`: what f gives is changed, and nobody keeps it
            self.several(ast.iter_child_nodes(node), hidden)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
            self.several(ast.iter_child_nodes(node), hidden | targets)
        else:
            if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                self.bind(node.name, hidden)
            elif isinstance(node, ast.MatchMapping) and node.rest:
                self.bind(node.rest, hidden)
            self.several(ast.iter_child_nodes(node), hidden)

    def several(self, nodes: Iterable[ast.AST], hidden: frozenset[str]) -> None:
        for node in nodes:
            self.statement(node, hidden)

    def bind(self, name: str, hidden: frozenset[str]) -> None:
        if name not in hidden:
            self.unit.binds.add(name)

    def import_(self, node: ast.Import | ast.ImportFrom, hidden: frozenset[str]) -> None:
        module, in_main = self.module, self.unit.in_main
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.bind(alias.asname or alias.name.partition(".")[0], hidden)
                note_load(module, alias.name, None, in_main)
            return
        base = imported(node, module.package)
        for alias in node.names:
            if alias.name == "*":
                module.stars.append((self.unit, base))
                note_load(module, base, None, in_main)
            else:
                self.bind(alias.asname or alias.name, hidden)
                note_load(module, base, alias.name, in_main)

    def call(self, node: ast.Call, kind: str, hidden: frozenset[str]) -> None:
        function = chain_of(node.func)
        given: list[Chain] = []
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            given += [chain for chain in _handed_over(argument) if chain[0] not in hidden]
        if function is None and isinstance(node.func, ast.Attribute):
            receiver = changed_chain(node.func.value)
            function = (*receiver, node.func.attr) if receiver is not None else None
        if function is None and isinstance(node.func, ast.Call):
            self.call(node.func, "decorator-call", hidden)
            inner = chain_of(node.func.func)
            if kind == "bare" and inner is not None:
                self.unit.calls.append(Call(inner, given, kind))
        elif function is None:
            self.statement(node.func, hidden)
            if kind == "bare":
                self.unit.calls.append(Call(("?",), given, kind))
        if function is not None and function[0] not in hidden:
            self.unit.calls.append(Call(function, given, kind))
            self.unit.reads.add(function[0])
        elif function is not None and given:
            self.unit.calls.append(Call(("?",), given, kind))
        self.several([*node.args, *(keyword.value for keyword in node.keywords)], hidden)

    def decorators(self, decorators: Iterable[ast.expr], hidden: frozenset[str]) -> None:
        for decorator in decorators:
            if isinstance(decorator, ast.Call):
                self.call(decorator, "decorator-call", hidden)
                continue
            chain = chain_of(decorator)
            if chain is not None and chain[0] not in hidden:
                self.unit.calls.append(Call(chain, [], "decorator"))
            self.statement(decorator, hidden)

    def class_(self, node: ast.ClassDef, hidden: frozenset[str]) -> None:
        self.bind(node.name, hidden)
        self.decorators(node.decorator_list, hidden)
        for base in [*node.bases, *(keyword.value for keyword in node.keywords)]:
            chain = changed_chain(base)
            if chain is not None and chain[0] not in hidden:
                self.unit.calls.append(Call(chain, [], "bases"))
            self.statement(base, hidden)
        for statement in node.body:
            # Names of the class are hidden from the statements that come after.
            inner = Executed(self.module, Unit(-1, node, in_main=self.unit.in_main))
            inner.statement(statement, hidden)
            self.unit.stores += inner.unit.stores
            self.unit.calls += inner.unit.calls
            self.unit.reads |= inner.unit.reads
            hidden |= inner.unit.binds


def _handed_over(node: ast.expr) -> Iterator[Chain]:
    """What a call gets hold of by an argument: ``x``, ``*x``, ``[x, y]``, ``{"a": x}``."""
    if isinstance(node, ast.Starred):
        yield from _handed_over(node.value)
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        for element in node.elts:
            yield from _handed_over(element)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _handed_over(value)
    elif (chain := changed_chain(node)) is not None:
        yield chain


def note_load(module: Module, name: str, member: str | None, in_main: bool) -> None:
    """Note that a module imports another, or a member of it."""
    if not in_main or module.name == "__main__":
        module.loads.append((name, member))


def _is_discarded(node: ast.Assign) -> bool:
    """``_ = f()``: a bare call in other words."""
    names = [target.id if isinstance(target, ast.Name) else "" for target in node.targets]
    return isinstance(node.value, ast.Call) and all(name and not name.strip("_") for name in names)
