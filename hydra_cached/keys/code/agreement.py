"""Whether a loaded module is what its source says, as far as the two can be compared.

Functions are compared by their bytecode without positions, constants, class attributes and default arguments by
their values where these are literals, imports by what they bound. What a module computes at its import leaves
nothing to compare.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

_ABSENT = object()
_KINDS: dict[str, Any] = {"property": property, "staticmethod": staticmethod, "classmethod": classmethod}
# Calls that give a name to something, and nothing more.
_NAMING = ("getLogger", "TypeVar", "ParamSpec", "NewType")


def agreement(module: types.ModuleType, path: str) -> bool | None:
    """True if a loaded module is what its source says, False if it is not, None if that cannot be told."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        tree = ast.parse(source, path)
        compiled = compile(source, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    said = {_essence(code) for code in _codes_in(compiled)}
    if any(_essence(function.__code__) not in said for function in _functions_of(module, path)):
        return False
    stored = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    once = {name for name in stored if stored.count(name) == 1}
    return _all(_compared(statement, module, module, once) for statement in tree.body)


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    known = list(verdicts)
    return False if False in known else None if None in known else True


def _compared(statement: ast.stmt, owner: Any, module: types.ModuleType, once: set[str]) -> bool | None:
    """One statement at the top of a module or class, and what it bound there."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _function(statement, vars(owner).get(statement.name, _ABSENT))
    if isinstance(statement, ast.ClassDef):
        kind = getattr(owner, statement.name, None)
        if not isinstance(kind, type):
            return None
        inner = _all(_compared(each, kind, module, once) for each in statement.body)
        plain = not (statement.bases or statement.keywords or statement.decorator_list)
        return inner if plain or inner is False else None
    if isinstance(statement, ast.Import):
        return _all(
            getattr(owner, each.asname or each.name.partition(".")[0], None)
            is sys.modules.get(each.name if each.asname else each.name.partition(".")[0], _ABSENT)
            for each in statement.names
        )
    if isinstance(statement, ast.ImportFrom):
        return _all(_imported(statement, each, owner, module) for each in statement.names)
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return _all(_bound(target, statement.value, owner, once) for target in targets)
    if isinstance(statement, ast.Expr):
        return True if isinstance(statement.value, ast.Constant) else None
    if isinstance(statement, ast.If) and not statement.orelse:
        asked = ast.unparse(statement.test).replace('"', "'")
        return True if asked in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'") else None
    return True if isinstance(statement, ast.Pass) else None


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, value: Any) -> bool | None:
    """Its kind and default arguments; its code is compared elsewhere."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if decorators:
        kind = _KINDS.get(decorators[0]) if len(decorators) == 1 else None
        if kind is None:
            return None
        if not isinstance(value, kind):
            return False
        value = value.fget if isinstance(value, property) else value.__func__
    if not isinstance(value, types.FunctionType):
        return None if value is _ABSENT else False
    wanted = [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]
    names = [arg.arg for arg in node.args.kwonlyargs]
    keywords = value.__kwdefaults__ or {}
    given = [*(value.__defaults__ or ()), *(keywords[name] for name in names if name in keywords)]
    if len(wanted) != len(given):
        return False
    return _all(_literal(each, loaded) for each, loaded in zip(wanted, given, strict=True))


def _bound(target: ast.expr, value: ast.expr | None, owner: Any, once: set[str]) -> bool | None:
    if value is None:
        return True  # an annotation
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        return _all(_bound(each, part, owner, once) for each, part in pairs)
    if not isinstance(target, ast.Name) or target.id not in once:
        return None
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in _NAMING:
        return True
    return _literal(value, vars(owner).get(target.id, _ABSENT))


def _literal(node: ast.expr, loaded: Any) -> bool | None:
    """Whether a loaded value is what a literal says; a list that differs may have been changed in place."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if loaded is _ABSENT or type(loaded) is not type(value):
        return False
    if repr(loaded) == repr(value):
        return True
    try:
        hash(value)
    except TypeError:
        return None
    return False


def _imported(
    statement: ast.ImportFrom, alias: ast.alias, owner: Any, module: types.ModuleType
) -> bool | None:
    if statement.module == "__future__":
        return True
    try:
        name = "." * statement.level + (statement.module or "")
        name = importlib.util.resolve_name(name, module.__package__) if statement.level else name
    except ImportError:
        return None
    source = sys.modules.get(name)
    if source is None or alias.name == "*":
        return None
    wanted = getattr(source, alias.name, sys.modules.get(f"{name}.{alias.name}", _ABSENT))
    return getattr(owner, alias.asname or alias.name, None) is wanted


def _codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_in(constant)


def _essence(code: types.CodeType) -> Any:
    """What a code object does, without where it stands."""
    constants = tuple(
        _essence(each) if isinstance(each, types.CodeType) else (type(each).__name__, repr(each))
        for each in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    # Python 3.10 has no qualified names here: two methods of one name that swapped bodies are not told apart there.
    return getattr(code, "co_qualname", code.co_name), code.co_code, constants, names, counts


def _functions_of(module: types.ModuleType, path: str) -> Iterator[types.FunctionType]:
    pending: list[Any] = list(vars(module).values())
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            if value.__code__.co_filename == path:
                yield value
            pending.append(getattr(value, "__wrapped__", None))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            pending.extend(vars(value).values())
        elif isinstance(value, (staticmethod, classmethod)):
            pending.append(value.__func__)
        elif isinstance(value, property):
            pending.extend((value.fget, value.fset, value.fdel))
