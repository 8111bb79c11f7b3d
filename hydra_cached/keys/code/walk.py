"""A statement is written down in its normal form and asked what it mentions, in one walk over its AST."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra_cached.keys.code import dynamic
from hydra_cached.keys.code.scopes import Mentions, Scope
from hydra_cached.keys.code.syntax import Chain, chain_of, changed_chain, live_branch, words

MUTATORS = words(
    "add append appendleft clear connect discard extend extendleft insert move_to_end pop popitem popleft "
    "push put register remove reverse set setdefault sort subscribe update __setitem__ __delitem__"
)
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CONDITIONAL = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)
DROPPED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}
_FIELDS: dict[type, tuple[str, tuple[tuple[str, str], ...]]] = {}
# What reads docstrings, annotations or subclasses at run time turns them into behaviour.
_READERS = {
    "getdoc": "docs",
    "__annotations__": "annotations",
    "get_type_hints": "annotations",
    "get_annotations": "annotations",
    "annotation": "annotations of a signature",
    "annotations": "annotations of a signature",
    "return_annotation": "annotations of a signature",
    "__subclasses__": "subclasses",
}
_INSPECTORS = frozenset(["inspect.signature", "inspect.getfullargspec", "inspect.Signature.from_callable"])
# Calls that show what they are given and change nothing.
_SHOWING = frozenset(["print", "log", "logger", "logging", "warnings", "LOG", "LOGGER", "_logger", "_log"])


@dataclass(frozen=True)
class Context:
    """What the walk must know about the module in which a statement stands.

    Attributes:
        package: package that relative imports start from.
        name: the module's dotted name.
        resolve: full dotted name of a mention of an imported name ("np.sum" -> "numpy.sum"), or of a
            built-in; None where the module itself defines it.
        imports: names that the module's imports bind.
        keep_annotations: annotations count, for they are read at run time.
        keep_docs: docstrings count, for they are read at run time.
        future_annotations: the module has ``from __future__ import annotations``.
    """

    package: str
    name: str
    resolve: Callable[[Chain], str | None]
    imports: Collection[str] = ()
    keep_annotations: bool = False
    keep_docs: bool = False
    future_annotations: bool = False


class Walk:
    """One walk over one statement: expressions and simple statements.

    :class:`hydra_cached.keys.code.definitions.FullWalk` adds what opens a scope of its own.
    """

    handlers: Mapping[type, Callable[[Any, Any], None]]

    def __init__(self, context: Context) -> None:
        self.context = context
        self.out: list[str] = []
        self.scope = Scope("module")
        self.mentions = Mentions()
        self.reads: set[str] = set()
        self.paths: set[str] = set()
        self.puzzles: set[str] = set()
        # First names of mentions whose full name may mean something to us.
        self.telling = {*context.imports, *dynamic.TELLING_BUILTINS}
        self._called: ast.AST | None = None
        self.kept_annotations = False

    # Any node.

    def node(self, node: ast.AST) -> None:
        handler = self.handlers.get(type(node))
        if handler is not None:
            handler(self, node)
        else:
            self.plain(node)

    def plain(self, node: ast.AST) -> None:
        kind = type(node)
        known = _FIELDS.get(kind)
        if known is None:
            names = tuple((name, name + "=") for name in kind._fields if name not in DROPPED_FIELDS)
            known = _FIELDS[kind] = (kind.__name__ + ("(" if names else ""), names)
        out = self.out
        out.append(known[0])
        if not known[1]:
            return
        for name, label in known[1]:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                out.append(label)
                self.node(value)
            elif value is not None and value != []:
                self.field(name, value)
        out.append(")")

    def field(self, name: str, value: object) -> None:
        if isinstance(value, ast.AST):
            self.out.append(name + "=")
            self.node(value)
        elif isinstance(value, list):
            if value and isinstance(value[0], ast.stmt):
                self.body(name, value)
                return
            self.out.append(name + "[")
            for item in value:
                if isinstance(item, ast.AST):
                    self.node(item)
                else:
                    self.out.append("~" if item is None else ascii(item))
            self.out.append("]")
        else:
            self.out.append(f"{name}={value!a}")

    def body(self, name: str, statements: Sequence[ast.stmt], docs: bool = False) -> None:
        """A block, without the statements that do nothing."""
        self.out.append(name + "[")
        for index, statement in enumerate(statements):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                if docs and index == 0 and self.context.keep_docs and isinstance(statement.value.value, str):
                    self.out.append("doc=" + ascii(statement.value.value))
                continue
            if isinstance(statement, ast.Pass):
                continue
            if isinstance(statement, ast.If):
                live = live_branch(statement, self.resolve)
                if live is not None:
                    self.body("live", live)
                    continue
            self.node(statement)
            if name == "class":
                self.scope.settle(always=not isinstance(statement, _CONDITIONAL))
        self.out.append("]")

    def resolve(self, chain: Chain) -> str | None:
        scope: Scope | None = self.scope
        while scope is not None and scope.kind != "module":
            for base, rest in scope.imports.get(chain[0], ()):
                return ".".join((base, *rest, *chain[1:]))
            if chain[0] in scope.bound:
                return None
            scope = scope.parent
        return self.context.resolve(chain)

    # Names.

    def name(self, node: ast.Name) -> None:
        self.out.append("@" + ascii(node.id))
        if isinstance(node.ctx, ast.Load):
            self.mention((node.id,), node is not self._called)
        else:
            self.bind(node.id)

    def attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
            if chain is not None:
                self.out.append("@" + ".".join(map(ascii, chain)))
                self.scope.mention(chain[:-1] if node.attr.startswith("__") else chain)
                return
        elif chain is not None:
            self.out.append("@" + ".".join(map(ascii, chain)))
            self.mention(chain, node is not self._called)
            return
        elif node.attr == "__doc__":
            self.reads.add("docs")
        elif node.attr in _READERS:
            self.reads.add(_READERS[node.attr])
        if dynamic.look_at_attribute(self, node):
            return
        self.out.append("." + ascii(node.attr))
        self.node(node.value)

    def mention(self, chain: Chain, as_value: bool = True) -> None:
        self.scope.mention(chain, as_value)
        for name in chain:
            if name in _READERS:
                self.reads.add(_READERS[name])
        if chain[0] not in self.telling:
            return
        full_name = self.resolve(chain)
        if full_name is not None:
            dynamic.look_at_mention(self, full_name)
            if full_name in _INSPECTORS:
                self.reads.add("inspects")

    def mention_global(self, chain: Chain, written: bool) -> None:
        """A mention that means the module's global whatever the scopes say."""
        self.mentions.chains[chain] = 0
        if written:
            self.mentions.writes[chain] = 0
            self.mentions.rebound.add(chain[0])

    def bind(self, name: str) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and name not in scope.bound and scope.parent is not None:
            scope = scope.parent  # a walrus
        if scope.kind != "module":
            scope.bound.add(name)

    def _change(self, target: ast.AST) -> None:
        chain = changed_chain(target)
        if chain is not None:
            self.scope.write(chain)
        elif any(
            isinstance(inner, ast.Call) and chain_of(inner.func) == ("type",) for inner in ast.walk(target)
        ):
            self.mentions.patches_class = True

    def subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        if not dynamic.look_at_subscript(self, node):
            self.plain(node)

    def comparison(self, node: ast.Compare) -> None:
        if not dynamic.look_at_comparison(self, node):
            self.plain(node)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            self.out.append(hex(value))  # repr refuses very large ones
        else:
            self.out.append(f"{type(value).__name__}:{value!a}")
            if isinstance(value, str) and _PATH.fullmatch(value):
                self.paths.add(value.replace(":", "."))

    def joined(self, node: ast.JoinedStr) -> None:
        # Python 3.12.0 puts empty constants into some f-strings, the others do not.
        self.out.append("JoinedStr")
        self.field("values", [v for v in node.values if not (isinstance(v, ast.Constant) and v.value == "")])

    # What tells of changes.

    def expression(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        function = chain_of(call.func) if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and (function is None or function[0] not in _SHOWING):
            # A call whose result is dropped was made for its effect on what it was given.
            receiver = chain_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
            given = [chain_of(a.value if isinstance(a, ast.Starred) else a) for a in call.args]
            given += [chain_of(keyword.value) for keyword in call.keywords]
            for chain in (receiver, *given):
                if chain is not None:
                    self.scope.write(chain)
        self.plain(node)

    def call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            self.scope.called.add(function.id)
        elif isinstance(function, ast.Attribute) and function.attr in MUTATORS:
            chain = changed_chain(function.value)
            if chain is not None:
                self.scope.write(chain)
        if not dynamic.look_at_call(self, node):
            self._called = node.func  # the next node that the walk comes to
            self.plain(node)

    def assign(self, node: ast.Assign) -> None:
        chain = chain_of(node.value)
        if chain is not None and self.scope.kind == "function":
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.scope.aliases.setdefault(target.id, set()).add(chain)
        if chain is not None and chain[-1] == "__doc__" and _all_named(node.targets, "__doc__"):
            # Handing a docstring on, as decorators do, does not make it behaviour.
            self.field("hands-on", node.targets)
            self.out.append("@" + ".".join(map(ascii, chain)))
            if len(chain) > 1:
                self.mention(chain[:-1])
            return
        self.plain(node)

    def augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.mention((node.target.id,))
        self.plain(node)

    def handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind(node.name)
        self.plain(node)

    def pattern(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name)
        self.plain(node)

    def mapping_pattern(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.bind(node.rest)
        self.plain(node)


def _all_named(targets: Iterable[ast.AST], name: str) -> bool:
    return all(isinstance(target, ast.Attribute) and target.attr == name for target in targets)


HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    ast.Name: Walk.name,
    ast.Attribute: Walk.attribute,
    ast.Subscript: Walk.subscript,
    ast.Constant: Walk.constant,
    ast.JoinedStr: Walk.joined,
    ast.Expr: Walk.expression,
    ast.Call: Walk.call,
    ast.Assign: Walk.assign,
    ast.AugAssign: Walk.augmented,
    ast.ExceptHandler: Walk.handler,
    ast.MatchAs: Walk.pattern,
    ast.MatchStar: Walk.pattern,
    ast.MatchMapping: Walk.mapping_pattern,
    ast.Compare: Walk.comparison,
}
