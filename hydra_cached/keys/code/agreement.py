"""Whether a loaded module is what its source says, as far as the two can be compared.

Functions are compared by their bytecode with its positions, so that a line more or less above them is seen, too;
constants, class attributes and default arguments by their values where these are literals; imports by what they
bound. What a module computes at its import leaves nothing to compare; and where the module has a name that its
source does not give it, or the source gives one twice, that it agrees is not said.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_ABSENT = object()
_KINDS: dict[str, Any] = {"property": property, "staticmethod": staticmethod, "classmethod": classmethod}
# Names that modules and classes have whatever their source says.
_PYTHONS = {
    *vars(types.ModuleType("_")),
    *vars(type("_", (), {})),
    *("__file__", "__cached__", "__builtins__", "__annotations__", "__path__", "__qualname__"),
    *("__firstlineno__", "__static_attributes__"),
}
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
    if not _names_agree(tree.body, vars(module), module.__name__):
        return None
    return _all(_compared(statement, module, module) for statement in tree.body)


def _names_agree(body: list[ast.stmt], held: Mapping[str, Any], within: str) -> bool:
    """Whether each statement gives names of its own, and nothing else is held."""
    given = [name for statement in body for name in _given_by(statement)]
    others = (name for name in held if name not in given and name not in _PYTHONS)
    return len(given) == len(set(given)) and all(f"{within}.{name}" in sys.modules for name in others)


def _given_by(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds where it stands."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
        return
    if isinstance(statement, ast.If) and _is_for_type_checkers(statement):
        return
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
                yield from _given_by(child)
            elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield child.id
            elif not isinstance(child, ast.Lambda):
                pending.append(child)


def _is_for_type_checkers(statement: ast.If) -> bool:
    return ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") and not statement.orelse


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    known = list(verdicts)
    return False if False in known else None if None in known else True


def _compared(statement: ast.stmt, owner: Any, module: types.ModuleType) -> bool | None:
    """One statement at the top of a module or class, and what it bound there."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _function(statement, vars(owner).get(statement.name, _ABSENT), module)
    if isinstance(statement, ast.ClassDef):
        return _class(statement, vars(owner).get(statement.name), module)
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
        return _all(_bound(target, statement.value, owner) for target in targets)
    if isinstance(statement, ast.Expr):
        return True if isinstance(statement.value, ast.Constant) else None
    if isinstance(statement, ast.If) and not statement.orelse:
        run = ast.unparse(statement.test).replace('"', "'") == "__name__ == '__main__'"
        return True if run or _is_for_type_checkers(statement) else None
    return True if isinstance(statement, ast.Pass) else None


def _class(node: ast.ClassDef, kind: Any, module: types.ModuleType) -> bool | None:
    """A class without bases or decorators, whose body is all that it is."""
    if not isinstance(kind, type):
        return None
    inner = _all(_compared(each, kind, module) for each in node.body)
    plain = not (node.bases or node.keywords or node.decorator_list)
    if inner is not True or not plain or kind.__bases__ != (object,) or type(kind) is not type:
        return False if inner is False else None
    annotated = {
        each.target.id: each.annotation
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    named = _names_agree(node.body, vars(kind), f"{module.__name__}.{kind.__qualname__}")
    return _annotations(annotated, kind, module) if named else None


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, value: Any, module: types.ModuleType
) -> bool | None:
    """Its place, kind, annotations and default arguments; its code is compared elsewhere."""
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
    begin = min(each.lineno for each in (node, *node.decorator_list))
    if (value.__code__.co_name, value.__code__.co_firstlineno) != (node.name, begin):
        return False
    if vars(value):
        return None
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments += [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
    annotated = {each.arg: each.annotation for each in arguments if each.annotation is not None}
    if node.returns is not None:
        annotated["return"] = node.returns
    said = _annotations(annotated, value, module)
    if said is not True:
        return said
    wanted = [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]
    names = [arg.arg for arg in node.args.kwonlyargs]
    keywords = value.__kwdefaults__ or {}
    given = [*(value.__defaults__ or ()), *(keywords[name] for name in names if name in keywords)]
    if len(wanted) != len(given):
        return False
    return _all(_literal(each, loaded) for each, loaded in zip(wanted, given, strict=True))


def _annotations(said: Mapping[str, ast.expr], owner: Any, module: types.ModuleType) -> bool | None:
    """Annotations of a function or class, which may be evaluated again: that was done at the import, too."""
    held = inspect.get_annotations(owner)
    if set(said) != set(held):
        return False
    try:
        for name, expression in said.items():
            if isinstance(held[name], str):
                same = held[name] in (ast.unparse(expression), getattr(expression, "value", None))
            else:
                code = compile(ast.Expression(expression), "<annotation>", "eval", dont_inherit=True)
                same = eval(code, vars(module)) == held[name]
            if not same:
                return None
    except Exception:
        return None
    return True


def _bound(target: ast.expr, value: ast.expr | None, owner: Any) -> bool | None:
    if value is None:
        return True  # an annotation
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        return _all(_bound(each, part, owner) for each, part in pairs)
    if not isinstance(target, ast.Name):
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
    """What a code object does, and where in its file that stands."""
    constants = tuple(
        _essence(each) if isinstance(each, types.CodeType) else (type(each).__name__, repr(each))
        for each in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    places = (code.co_firstlineno, code.co_linetable, getattr(code, "co_exceptiontable", b""))
    return code.co_name, code.co_code, constants, names, counts, places


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
