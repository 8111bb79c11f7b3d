"""A module as a table: which statement binds, changes or uses which of its names.

Only what an import executes is looked at here (not the bodies of functions), so tables are cheap; the
normal form of a statement is made when somebody asks for it.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hydra_cached.keys.normal import Context, Form, form_of, imported, live_branch
from hydra_cached.keys.scopes import Absolute, Chain, chain_of, changed_chain

_BUILTINS = frozenset(dir(builtins))
_COMPUTED = re.compile(rb"\b(globals|exec)\s*\(|\bsys\.modules\b")
_GLOBAL = re.compile(rb"^[ \t;:]*global\s|[;:]\s*global\s", re.MULTILINE)
_MODULE_NAMES = frozenset(
    ["__name__", "__file__", "__path__", "__package__", "__spec__", "__loader__", "__builtins__", "__cached__"]
)


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
                module.package, module.name, module.full_name, module.imports, annotations, docs, module.future
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
                if node.value and len(node.value) < 200 and not node.value[0].isspace() and " " not in node.value:
                    yield node.value


def parse(name: str, package: str, path: str, source: bytes) -> Module:
    """Make the table of a module.

    Args:
        name: its dotted name.
        package: the package that its relative imports start from ("" for a top-level module).
        path: where the source is from; for messages only.
        source: the file's content.

    Raises:
        SyntaxError: the source is not Python (of the running version).
        ValueError: the source holds null bytes.
    """
    tree = ast.parse(source, filename=path)
    module = Module(name, package, path, tree)
    module.names_are_computed = _COMPUTED.search(source) is not None
    # Names first: what an `if TYPE_CHECKING` means depends on the imports.
    _find_imports(module, tree.body)
    _add_statements(module, tree.body, (), False)
    if _GLOBAL.search(source):
        for unit in module.units:
            unit.binds |= _declared_global(unit.node)
    for unit in module.units:
        for bound in unit.binds:
            module.binders.setdefault(bound, []).append(unit)
    module.exported = _exported(module)
    return module


def _find_imports(module: Module, statements: Sequence[ast.stmt]) -> None:
    """Fill ``imports``: every import that is not inside a function or class."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name.partition(".")[0]
                target = (alias.name, ()) if alias.asname else (top, ())
                _add_import(module, alias.asname or top, target)
        elif isinstance(statement, ast.ImportFrom):
            base = imported(statement, module.package)
            if base == "__future__":
                module.future |= any(alias.name == "annotations" for alias in statement.names)
                continue
            for alias in statement.names:
                if alias.name != "*":
                    _add_import(module, alias.asname or alias.name, (base, (alias.name,)))
        else:
            live = live_branch(statement, module.full_name) if isinstance(statement, ast.If) else None
            if live is not None:
                module.checked_only |= _bound_anywhere(statement)
            if isinstance(statement, ast.If) and _is_main_test(statement.test) and module.name != "__main__":
                live = statement.orelse
            for block in [live] if live is not None else _blocks(statement):
                _find_imports(module, block)


def _bound_anywhere(statement: ast.stmt) -> set[str]:
    """All names that a statement could bind, whether or not it does so at run time."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _add_import(module: Module, name: str, target: Absolute) -> None:
    targets = module.imports.setdefault(name, [])
    if target not in targets:
        targets.append(target)


def _blocks(statement: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    """The blocks of a compound statement that run in the scope around it."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list):
            yield block
    for name in ("handlers", "cases"):
        for part in getattr(statement, name, ()):
            yield part.body


def _add_statements(
    module: Module, statements: Sequence[ast.stmt], guards: tuple[tuple[str, ast.expr], ...], in_main: bool
) -> None:
    for statement in statements:
        if isinstance(statement, ast.If):
            live = live_branch(statement, module.full_name)
            if live is not None:
                _add_statements(module, live, guards, in_main)
                continue
            main = _is_main_test(statement.test)
            _add_statements(module, statement.body, (*guards, ("if", statement.test)), in_main or main)
            _add_statements(module, statement.orelse, (*guards, ("unless", statement.test)), in_main)
            if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(statement.test)):
                _add_unit(module, ast.Expr(statement.test), guards, in_main)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                # `import a.b` and `import a.c` both bind a, so that neither makes the other new.
                bound = alias.asname or alias.name.partition(".")[0]
                shown = alias if alias.asname else ast.alias(bound)
                unit = _new_unit(module, ast.Import([shown]), guards, in_main)
                unit.is_import = True
                unit.binds = {bound}
                _load(module, alias.name, None, in_main)
        elif isinstance(statement, ast.ImportFrom):
            _add_import_from(module, statement, guards, in_main)
        else:
            _add_unit(module, statement, guards, in_main)


def _add_import_from(
    module: Module, statement: ast.ImportFrom, guards: tuple[tuple[str, ast.expr], ...], in_main: bool
) -> None:
    base = imported(statement, module.package)
    if base == "__future__":
        return
    for alias in statement.names:
        unit = _new_unit(module, ast.ImportFrom(base, [alias], 0), guards, in_main)
        unit.is_import = True
        if alias.name == "*":
            module.stars.append((unit, base))
            _load(module, base, None, in_main)
        else:
            unit.binds = {alias.asname or alias.name}
            _load(module, base, alias.name, in_main)


def _load(module: Module, name: str, member: str | None, in_main: bool) -> None:
    if not in_main or module.name == "__main__":
        module.loads.append((name, member))


def _new_unit(
    module: Module, node: ast.stmt, guards: tuple[tuple[str, ast.expr], ...], in_main: bool
) -> Unit:
    unit = Unit(len(module.units), node, guards, in_main=in_main)
    module.units.append(unit)
    return unit


def _add_unit(
    module: Module, node: ast.stmt, guards: tuple[tuple[str, ast.expr], ...], in_main: bool
) -> None:
    if isinstance(node, ast.Pass) or (isinstance(node, ast.AnnAssign) and node.value is None):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    unit = _new_unit(module, node, guards, in_main)
    _Executed(module, unit).statement(node, frozenset())
    if not in_main and (unit.stores or any(call.kind not in ("value", "bases") for call in unit.calls)):
        module.effects.append(unit)


class _Executed:
    """Collects, for one unit, what happens when its module is imported."""

    def __init__(self, module: Module, unit: Unit) -> None:
        self.module = module
        self.unit = unit

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
                self.statement(node.value, hidden)
        elif isinstance(node, ast.Call):
            self.call(node, "value", hidden)
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
                _load(module, alias.name, None, in_main)
            return
        base = imported(node, module.package)
        for alias in node.names:
            if alias.name == "*":
                module.stars.append((self.unit, base))
                _load(module, base, None, in_main)
            else:
                self.bind(alias.asname or alias.name, hidden)
                _load(module, base, alias.name, in_main)

    def call(self, node: ast.Call, kind: str, hidden: frozenset[str]) -> None:
        function = chain_of(node.func)
        given: list[Chain] = []
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            chain = changed_chain(argument.value if isinstance(argument, ast.Starred) else argument)
            if chain is not None and chain[0] not in hidden:
                given.append(chain)
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
            inner = _Executed(self.module, Unit(-1, node, in_main=self.unit.in_main))
            inner.statement(statement, hidden)
            self.unit.stores += inner.unit.stores
            self.unit.calls += inner.unit.calls
            self.unit.reads |= inner.unit.reads
            hidden |= inner.unit.binds


def _is_discarded(node: ast.Assign) -> bool:
    """``_ = f()``: a bare call in other words."""
    names = [target.id if isinstance(target, ast.Name) else "" for target in node.targets]
    return isinstance(node.value, ast.Call) and all(name and not name.strip("_") for name in names)


def _is_main_test(test: ast.AST) -> bool:
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def _is_false(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and value.value is False


def _declared_global(node: ast.AST) -> set[str]:
    return {name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names}


def _exported(module: Module) -> frozenset[str] | None:
    """The value of ``__all__`` where it can be read off; None means: everything public."""
    names: set[str] = set()
    units = module.binders.get("__all__", [])
    changing = [unit for unit in module.units if any(chain[0] == "__all__" for chain in unit.stores)]
    changing += [u for u in module.units if any(call.function[0] == "__all__" for call in u.calls)]
    if not units:
        return None
    for unit in {id(unit): unit for unit in [*units, *changing]}.values():
        node = unit.node
        value = getattr(node, "value", None)
        if isinstance(node, ast.Expr) and isinstance(value, ast.Call) and len(value.args) == 1:
            value = value.args[0]
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            names.add(value.value)
            continue
        if not isinstance(value, (ast.List, ast.Tuple, ast.Set)):
            return None
        for element in value.elts:
            if not isinstance(element, ast.Constant) or not isinstance(element.value, str):
                return None
            names.add(element.value)
    return frozenset(names)
