"""Whether a definition carries hydra-cached's ``not_deterministic``, as seen in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from hydra_cached.keys.code.bindings import Module
from hydra_cached.keys.code.resolve import Key, Meaning, Resolver
from hydra_cached.keys.code.syntax import Chain, chain_of

NOT_DETERMINISTIC = frozenset(
    [
        "hydra_cached.not_deterministic",
        "hydra_cached.marks.not_deterministic",
        "hydra_cached.execution.hydra_utils.not_deterministic",
    ]
)


def is_not_deterministic(resolver: Resolver, meanings: Iterable[Meaning]) -> bool:
    """Whether a target is marked: by a decorator on it, on the method (an inherited one, too) or on its class.

    As at run time, a subclass of a marked class is not marked.

    Args:
        resolver: resolves the decorators' names, across re-exports.
        meanings: what the target's name denotes.
    """
    return any(
        _is_marked(resolver, meaning.key, meaning.rest, frozenset())
        for meaning in meanings
        if meaning.key is not None
    )


def _is_marked(resolver: Resolver, key: Key, rest: Chain, seen: frozenset[Key]) -> bool:
    module = resolver.modules.get(key[0])
    if module is None or key in seen:
        return False
    seen |= {key}
    for unit in module.live_binders(key[1]):
        node = unit.node
        inherited = isinstance(node, ast.ClassDef) and len(seen) > 1
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not inherited:
            if _decorated(resolver, module, node.decorator_list):
                return True
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if rest and getattr(inner, "name", None) == rest[0]:
                    if _decorated(resolver, module, getattr(inner, "decorator_list", ())):
                        return True
            for base in node.bases if rest else ():
                if _follows(resolver, module, base, rest, seen):
                    return True
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            value = node.value
            if isinstance(value, ast.Call):
                if _names_mark(resolver, module, value.func):
                    return True
                if rest and _follows(resolver, module, value.func, rest, seen):
                    return True  # a method of an instance
            elif _follows(resolver, module, value, rest, seen):
                return True
    return False


def _follows(resolver: Resolver, module: Module, node: ast.AST, rest: Chain, seen: frozenset[Key]) -> bool:
    chain = chain_of(node)
    if chain is None:
        return False
    return any(
        _is_marked(resolver, meaning.key, meaning.rest + rest, seen)
        for meaning in resolver.meanings(module, chain)
        if meaning.key is not None
    )


def _decorated(resolver: Resolver, module: Module, decorators: Iterable[ast.expr]) -> bool:
    return any(_names_mark(resolver, module, decorator) for decorator in decorators)


def _names_mark(resolver: Resolver, module: Module, node: ast.AST, depth: int = 0) -> bool:
    chain = chain_of(node.func if isinstance(node, ast.Call) else node)
    if chain is None or depth > 20:
        return False
    for meaning in resolver.meanings(module, chain):
        if meaning.external in NOT_DETERMINISTIC:
            return True
        if meaning.key is None:
            continue
        other = resolver.modules.get(meaning.key[0])
        for unit in other.live_binders(meaning.key[1]) if other is not None else ():
            value = getattr(unit.node, "value", None) if isinstance(unit.node, ast.Assign) else None
            if value is not None and other is not None and _names_mark(resolver, other, value, depth + 1):
                return True
    return False
