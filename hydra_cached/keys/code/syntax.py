"""Small questions to the syntax tree, which several rooms of this house ask."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

Chain = tuple[str, ...]  # a dotted mention, a.b.c -> ("a", "b", "c")
Absolute = tuple[str, Chain]  # the same, from a module: import a.b; a.b.c -> ("a", ("b", "c"))


ANYTHING = "*"  # stands in a chain for an attribute whose name is computed


def words(text: str) -> frozenset[str]:
    """The blank-separated words of a text: long lists of names read better so."""
    return frozenset(text.split())


def chain_of(node: ast.AST) -> Chain | None:
    """``a.b.c`` as ("a", "b", "c"); None for anything that does not start with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    names.append(node.id)
    return tuple(reversed(names))


def changed_chain(target: ast.AST) -> Chain | None:
    """What ``target = ..`` changes: ("a", "b") for ``a.b = ..``, ("a",) for ``a[..] = ..``, ``a[0].b = ..``."""
    chain = chain_of(target)
    while chain is None and isinstance(target, (ast.Attribute, ast.Subscript)):
        target = target.value
        chain = chain_of(target)
    return chain


def is_type_checking(test: ast.AST, resolve: Callable[[Chain], str | None]) -> bool:
    """Whether an ``if`` test is false at run time for it asks for a type checker."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return is_type_checking(test.values[0], resolve)
    chain = chain_of(test)
    if chain is None or chain[-1] != "TYPE_CHECKING":
        return False
    return resolve(chain) in ("typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING")


def live_branch(node: ast.If, resolve: Callable[[Chain], str | None]) -> Sequence[ast.stmt] | None:
    """The branch of an ``if TYPE_CHECKING`` that exists at run time; None for every other ``if``."""
    if is_type_checking(node.test, resolve):
        return node.orelse
    if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
        if is_type_checking(node.test.operand, resolve):
            return node.body
    return None


def imported(node: ast.ImportFrom, package: str) -> str:
    """Absolute name of the module that a ``from .. import`` names."""
    if not node.level:
        return node.module or ""
    base = package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
