"""The normal form of a statement, and what it mentions, in one walk over its AST.

The normal form keeps what the code does and leaves out how it is written down: positions, comments,
docstrings, ``pass``, annotations without behaviour and blocks for type checkers only. It is built from
node and field names that Python 3.10 to 3.13 share, so equal code has the same form on all of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3

from hydra_cached.keys.code.definitions import FullWalk
from hydra_cached.keys.code.scopes import Mentions, close
from hydra_cached.keys.code.syntax import chain_of
from hydra_cached.keys.code.walk import DROPPED_FIELDS, Context


@dataclass(frozen=True)
class Form:
    """A statement's normal form (as digest) and all that it mentions; see :class:`Mentions`.

    Attributes:
        reads: "docs", "annotations", "subclasses" where the code reads these at run time.
        paths: strings that may name code: ``a.b.c`` or ``a.b:c``.
        puzzles: what cannot be followed statically, in words.
    """

    digest: str
    mentions: Mentions
    reads: frozenset[str]
    paths: frozenset[str]
    puzzles: frozenset[str]


def form_of(nodes: Iterable[tuple[str, ast.AST]], context: Context) -> Form:
    """Normal form of a statement with what it depends on.

    Args:
        nodes: (label, node) pairs that together make the statement: the tests of the ``if`` blocks
            around it, then the statement itself.
        context: the module around it.
    """
    nodes = list(nodes)
    walk = FullWalk(context)
    try:
        for label, node in nodes:
            walk.out.append(label)
            if isinstance(node, ast.stmt):
                walk.body("body", [node])
            else:
                walk.node(node)
        close(walk.scope, walk.mentions)
    except RecursionError:
        walk = _flat_walk(nodes, context)
    if walk.kept_annotations and context.future_annotations:
        walk.out.append("future-annotations")
    if walk.mentions.reads_docs:
        walk.reads.add("docs")
    if {"inspects", "annotations of a signature"} <= walk.reads:
        walk.reads.add("annotations")
    return Form(
        blake3(" ".join(walk.out).encode("utf-8")).hexdigest(),
        walk.mentions,
        frozenset(walk.reads),
        frozenset(walk.paths),
        frozenset(walk.puzzles),
    )


def _flat_walk(nodes: Iterable[tuple[str, ast.AST]], context: Context) -> FullWalk:
    """What can be told of a statement that is nested too deeply for the walk: all counts as written."""
    walk = FullWalk(context)
    for label, root in nodes:
        walk.out.append(label)
        for node in ast.walk(root):
            fields = [(name, value) for name, value in ast.iter_fields(node) if name not in DROPPED_FIELDS]
            shape = [
                (name, len(value) if isinstance(value, list) else isinstance(value, ast.AST) or ascii(value))
                for name, value in fields
            ]
            walk.out.append(f"{type(node).__name__}{shape}")
            chain = chain_of(node)
            if chain is not None:
                walk.mention(chain)
    walk.mentions.chains = dict(walk.scope.chains)
    walk.mentions.values = set(walk.scope.values)
    return walk
