"""From source to a module's table: its statements, and what each binds, changes and imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from hydra_cached.keys.code.bindings import Module, Unit
from hydra_cached.keys.code.executed import Executed, note_load
from hydra_cached.keys.code.syntax import Absolute, imported, live_branch

_COMPUTED = re.compile(rb"\b(globals|exec)\s*\(|\bsys\.modules\b")
_GLOBAL = re.compile(rb"^[ \t;:]*global\s|[;:]\s*global\s", re.MULTILINE)


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
                note_load(module, alias.name, None, in_main)
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
            note_load(module, base, None, in_main)
        else:
            unit.binds = {alias.asname or alias.name}
            note_load(module, base, alias.name, in_main)


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
    Executed(module, unit).statement(node, frozenset())
    if not in_main and (unit.stores or any(call.kind != "bases" for call in unit.calls)):
        module.effects.append(unit)


def _is_main_test(test: ast.AST) -> bool:
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


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
