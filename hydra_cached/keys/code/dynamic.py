"""Code that finds other code by a computed name: what can be read off it, and what cannot.

``getattr(module, "f")``, ``import_module("a.b")`` or ``globals()["f"]`` with constants are followed like
the plain spelling. With computed names the walk notes a puzzle, and the whole module counts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hydra_cached.keys.code.syntax import ANYTHING, Absolute, Chain, chain_of, words

if TYPE_CHECKING:
    from hydra_cached.keys.code.walk import Context, Walk

EVERYTHING_INSIDE = "**"  # stands in a chain for all modules of a package

_IMPORTERS = frozenset(["importlib.import_module", "importlib.__import__", "builtins.__import__"])
# Mentions that hide which code is meant.
_PUZZLES = {
    "builtins.eval": "eval",
    "builtins.exec": "exec",
    "builtins.globals": "globals()",
    "builtins.__import__": "__import__ of a computed name",
    "importlib.import_module": "import_module of a computed name",
    "importlib.__import__": "__import__ of a computed name",
    "sys.modules": "sys.modules",
    "importlib.util.spec_from_file_location": "code loaded from a file",
    "importlib.util.module_from_spec": "code loaded from a file",
    "runpy.run_path": "code loaded from a file",
    "runpy.run_module": "code run by name",
    "importlib.metadata.entry_points": "entry points",
}
TELLING_BUILTINS = frozenset(name.partition(".")[2] for name in _PUZZLES if name.startswith("builtins."))
_PACKAGE_SCANS = frozenset(["pkgutil.iter_modules", "pkgutil.walk_packages"])

# Decorators that are known not to read the annotations of what they decorate.
_BLIND_DECORATORS = words(
    """builtins.staticmethod builtins.classmethod builtins.property functools.wraps functools.lru_cache
    functools.cache functools.cached_property functools.total_ordering contextlib.contextmanager
    contextlib.asynccontextmanager abc.abstractmethod typing.override typing.overload typing.final
    typing_extensions.override typing_extensions.final dataclasses.dataclass enum.unique
    typing.runtime_checkable hydra.main torch.no_grad torch.inference_mode hydra_cached.not_deterministic
    hydra_cached.execution.hydra_utils.not_deterministic"""
)


def may_read_annotations(decorators: Iterable[ast.expr], resolve: Callable[[Chain], str | None]) -> bool:
    """Whether a decorator, for all that is known, could turn annotations into behaviour."""
    for decorator in decorators:
        chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if chain is None:
            return True
        if len(chain) > 1 and chain[-1] in ("setter", "getter", "deleter"):
            continue
        if resolve(chain) not in _BLIND_DECORATORS:
            return True
    return False


def chain_in_text(text: str) -> Chain | None:
    """A dotted name that is written as a string, as in forward references."""
    parts = tuple(text.split("."))
    return parts if all(part.isidentifier() for part in parts) else None


def puzzle_of(full_name: str | None) -> str | None:
    """What is hidden by a mention of this object (by its full name), in words; None if nothing is."""
    if full_name is None:
        return None
    if full_name.startswith("sys.modules."):
        return "sys.modules"
    return _PUZZLES.get(full_name)


def look_at_mention(walk: Walk, full_name: str | None) -> None:
    """Note what a plain mention of a known object hides."""
    puzzle = puzzle_of(full_name)
    if puzzle is not None:
        walk.puzzles.add(puzzle)
    if full_name in _PACKAGE_SCANS:
        walk.mentions.absolute.add((walk.context.package, (EVERYTHING_INSIDE,)))


def look_at_call(walk: Walk, node: ast.Call) -> bool:
    """Follow a call that finds code by name.

    Returns:
        True if the call was written out here, False if it is an ordinary one.
    """
    function = chain_of(node.func)
    full_name = walk.resolve(function) if function is not None else None
    if full_name is None:
        return False
    if full_name in _IMPORTERS:
        reached = _imported_by(walk.context, node)
        if reached is None:
            return False  # the mention itself will be the puzzle
        walk.mentions.absolute.add(reached)
        _write_quietly(walk, node, skip=0)
        return True
    if full_name in ("builtins.vars", "builtins.locals") and not node.args:
        if walk.scope.kind == "module":
            walk.puzzles.add(full_name.partition(".")[2] + "()")
        return False
    if full_name in ("builtins.getattr", "builtins.hasattr", "builtins.setattr", "builtins.delattr"):
        return _look_at_attribute_call(walk, node, full_name)
    if full_name in ("builtins.vars", "builtins.dir", "inspect.getdoc") and node.args:
        chain = chain_of(node.args[0])
        if chain is not None:
            walk.mention((*chain, "__doc__" if full_name == "inspect.getdoc" else ANYTHING))
            _write_quietly(walk, node, skip=1)
            return True
    return False


def _look_at_attribute_call(walk: Walk, node: ast.Call, full_name: str) -> bool:
    chain = chain_of(node.args[0]) if len(node.args) > 1 else None
    if chain is None:
        return False
    name = _constant(node.args[1])
    full_chain = (*chain, ANYTHING if name is None else name)
    walk.mention(full_chain)
    if full_name in ("builtins.setattr", "builtins.delattr"):
        walk.scope.write(full_chain)
    _write_quietly(walk, node, skip=1)
    return True


def look_at_subscript(walk: Walk, node: ast.Subscript) -> bool:
    """Follow ``globals()["f"]`` and ``sys.modules["a.b"]``; True if it was written out here."""
    name = _constant(node.slice)
    if name is None:
        return False
    if isinstance(node.value, ast.Call) and not node.value.args:
        function = chain_of(node.value.func)
        if function is not None and walk.resolve(function) == "builtins.globals":
            walk.mention_global((name,), written=not isinstance(node.ctx, ast.Load))
            walk.out.append(f"globals({name!a})")
            return True
    chain = chain_of(node.value)
    if chain is not None and isinstance(node.ctx, ast.Load) and walk.resolve(chain) == "sys.modules":
        walk.mentions.absolute.add((name, ()))
        walk.out.append(f"sys.modules({name!a})")
        return True
    return False


def look_at_comparison(walk: Walk, node: ast.Compare) -> bool:
    """``"torch" in sys.modules`` asks nothing of the modules' code; True if it was written out here."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.In, ast.NotIn)):
        return False
    chain = chain_of(node.comparators[0])
    if chain is None or walk.resolve(chain) != "sys.modules":
        return False
    walk.out.append(type(node.ops[0]).__name__ + "(sys.modules")
    walk.node(node.left)
    walk.out.append(")")
    return True


def look_at_attribute(walk: Walk, node: ast.Attribute) -> bool:
    """Follow ``import_module("a.b").c``; True if it was written out here."""
    names: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Call):
        return False
    function = chain_of(inner.func)
    if function is None or walk.resolve(function) not in _IMPORTERS:
        return False
    reached = _imported_by(walk.context, inner)
    if reached is None or reached[1]:
        return False
    walk.mentions.absolute.add((reached[0], tuple(reversed(names))))
    walk.out.append(f"imported({reached[0]!a}).{'.'.join(reversed(names))!a}")
    return True


def _write_quietly(walk: Walk, node: ast.Call, skip: int) -> None:
    """Write a call's normal form without taking its function and first arguments for mentions."""
    walk.out.append("Call(" + ".".join(chain_of(node.func) or ()))
    for index, argument in enumerate(node.args):
        if index < skip:
            walk.out.append("@" + ".".join(map(ascii, chain_of(argument) or ())))
        else:
            walk.node(argument)
    walk.field("keywords", node.keywords)
    walk.out.append(")")


def _constant(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _imported_by(context: Context, node: ast.Call) -> Absolute | None:
    """What ``import_module(..)`` imports: a module, or all of a package if only its start is constant."""
    if not node.args:
        return None
    start, complete = _known_start(node.args[0], context)
    if start.startswith("."):
        anchor = node.args[1] if len(node.args) > 1 else None
        anchor = next((keyword.value for keyword in node.keywords if keyword.arg == "package"), anchor)
        base, known = _known_start(anchor, context) if anchor is not None else ("", False)
        if not known:
            return None
        dots = len(start) - len(start.lstrip("."))
        package = base.split(".")
        start = ".".join([*package[: len(package) - dots + 1], start.lstrip(".")])
    if complete:
        return (start, ()) if start else None
    package_name = start.rpartition(".")[0]
    return (package_name, (EVERYTHING_INSIDE,)) if package_name else None


def _known_start(node: ast.AST, context: Context) -> tuple[str, bool]:
    """The constant beginning of a string expression, and whether that is all of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if isinstance(node, ast.Name) and node.id in ("__name__", "__package__"):
        return (context.name if node.id == "__name__" else context.package), True
    if isinstance(node, ast.FormattedValue) and node.format_spec is None:
        return _known_start(node.value, context)
    if isinstance(node, ast.JoinedStr):
        text = ""
        for part in node.values:
            more, complete = _known_start(part, context)
            text += more
            if not complete:
                return text, False
        return text, True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, complete = _known_start(node.left, context)
        if not complete:
            return left, False
        right, complete = _known_start(node.right, context)
        return left + right, complete
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        left, _ = _known_start(node.left, context)
        return left.partition("%")[0], False
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        left, _ = _known_start(node.func.value, context)
        return left.partition("{")[0], False
    return "", False
