"""The normal form of a statement, and what it mentions, in one walk over its AST.

The normal form keeps what the code does and leaves out how it is written down: positions, comments,
docstrings, ``pass``, annotations without behaviour and blocks for type checkers only. It is built from
node and field names that Python 3.10 to 3.13 share, so equal code has the same form on all of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from hydra_cached.keys import dynamic
from hydra_cached.keys.scopes import Absolute, Chain, Mentions, Scope, chain_of, changed_chain, close, words

MUTATORS = words(
    "add append appendleft clear connect discard extend extendleft insert move_to_end pop popitem popleft "
    "push put register remove reverse set setdefault sort subscribe update __setitem__ __delitem__"
)
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CONDITIONAL = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)
_DROPPED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}
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


@dataclass(frozen=True)
class Form:
    """A statement's normal form (as digest) and all that it mentions; see :class:`Mentions`.

    Attributes:
        reads: "docs", "annotations", "subclasses" where the code reads these at run time.
        paths: strings that may name code: ``a.b.c`` or ``a.b:c``.
        puzzles: what cannot be followed statically, in words.
        registers_subclasses: a class whose subclasses run its code when they are defined.
    """

    digest: str
    mentions: Mentions
    reads: frozenset[str]
    paths: frozenset[str]
    puzzles: frozenset[str]
    registers_subclasses: bool


def form_of(nodes: Iterable[tuple[str, ast.AST]], context: Context) -> Form:
    """Normal form of a statement with what it depends on.

    Args:
        nodes: (label, node) pairs that together make the statement: the tests of the ``if`` blocks
            around it, then the statement itself.
        context: the module around it.
    """
    nodes = list(nodes)
    walk = Walk(context)
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
        walk.registers_subclasses,
    )


def _flat_walk(nodes: Iterable[tuple[str, ast.AST]], context: Context) -> Walk:
    """What can be told of a statement that is nested too deeply for :class:`Walk`: all counts as written."""
    walk = Walk(context)
    for label, root in nodes:
        walk.out.append(label)
        for node in ast.walk(root):
            fields = [(name, value) for name, value in ast.iter_fields(node) if name not in _DROPPED_FIELDS]
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


class Walk:
    """One walk over one statement; :func:`form_of` is its face."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.out: list[str] = []
        self.scope = Scope("module")
        self.mentions = Mentions()
        self.reads: set[str] = set()
        self.paths: set[str] = set()
        self.puzzles: set[str] = set()
        # First names of mentions whose full name may mean something to us.
        self._telling = {*context.imports, *dynamic.TELLING_BUILTINS}
        self._called: ast.AST | None = None
        self.kept_annotations = False
        self.registers_subclasses = False
        self._class_annotations = False
        self._method_annotations = False

    # -- plain nodes

    def node(self, node: ast.AST) -> None:
        special = _SPECIAL.get(type(node))
        if special is not None:
            special(self, node)
        else:
            self.plain(node)

    def plain(self, node: ast.AST) -> None:
        kind = type(node)
        known = _FIELDS.get(kind)
        if known is None:
            names = tuple((name, name + "=") for name in kind._fields if name not in _DROPPED_FIELDS)
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

    # -- names

    def name(self, node: ast.Name) -> None:
        self.out.append("@" + ascii(node.id))
        if isinstance(node.ctx, ast.Load):
            self.mention((node.id,), node is not self._called)
        else:
            self._bind(node.id)

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
        if chain[0] not in self._telling:
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

    def _bind(self, name: str) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and name not in scope.bound and scope.parent is not None:
            scope = scope.parent  # a walrus
        if scope.kind != "module":
            scope.bound.add(name)

    def _change(self, target: ast.AST) -> None:
        chain = changed_chain(target)
        if chain is not None:
            self.scope.write(chain)
        elif any(isinstance(inner, ast.Call) and chain_of(inner.func) == ("type",) for inner in ast.walk(target)):
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

    # -- statements with something to tell

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

    def annotated(self, node: ast.AnnAssign) -> None:
        keep = self._class_annotations if self.scope.kind == "class" else False
        if keep:
            self.kept_annotations = True
            self.out.append("Annotated(")
            self._annotation(node.annotation)
            if node.value is not None:
                self.field("value", node.value)
            self.field("target", node.target)
            self.out.append(")")
        elif node.value is not None:
            plain = ast.Assign(targets=[node.target], value=node.value)
            self.assign(plain)
        elif isinstance(node.target, ast.Name):
            if self.scope.kind != "class":
                self._bind(node.target.id)

    def _annotation(self, node: ast.AST) -> None:
        self.node(node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                chain = dynamic.chain_in_text(inner.value)
                if chain is not None:
                    self.mention(chain)

    def augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.mention((node.target.id,))
        self.plain(node)

    def global_(self, node: ast.Global) -> None:
        self.scope.declared_global.update(node.names)
        self.plain(node)

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        self.scope.declared_nonlocal.update(node.names)
        self.plain(node)

    def import_(self, node: ast.Import) -> None:
        for alias in sorted(node.names, key=lambda alias: (alias.name, alias.asname or "")):
            top = alias.name.partition(".")[0]
            target = (alias.name, ()) if alias.asname else (top, ())
            self._import(alias.asname or top, target, (alias.name, ("",)))
            self.out.append(f"import({alias.asname or top!a}={alias.name!a})")

    def import_from(self, node: ast.ImportFrom) -> None:
        module = imported(node, self.context.package)
        for alias in sorted(node.names, key=lambda alias: (alias.name, alias.asname or "")):
            bound = alias.asname or alias.name
            self._import(bound, (module, (alias.name,)), (module, (alias.name, "")))
            self.out.append(f"import({bound!a}={module!a}:{alias.name!a})")

    def _import(self, bound: str, target: Absolute, effect: Absolute) -> None:
        if self.scope.kind == "module":
            return  # the module's own table knows
        self._bind(bound)
        self.scope.imports.setdefault(bound, []).append(target)
        self._telling.add(bound)
        self.mentions.absolute.add(effect)

    def handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name)
        self.plain(node)

    def pattern(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)
        self.plain(node)

    def mapping_pattern(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._bind(node.rest)
        self.plain(node)

    # -- scopes

    def enter(self, kind: str, name: str | None = None) -> Scope:
        self.scope = Scope(kind, self.scope, name)
        return self.scope

    def leave(self) -> None:
        scope = self.scope
        close(scope, self.mentions)
        assert scope.parent is not None
        self.scope = scope.parent

    def comprehension(self, node: ast.AST) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.out.append(type(node).__name__ + "(")
        self.node(generators[0].iter)  # evaluated outside
        scope = self.enter("comprehension")
        for generator in generators:
            scope.bound |= {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
        for index, generator in enumerate(generators):
            self.out.append("async-for" if generator.is_async else "for")
            self.node(generator.target)
            if index:
                self.node(generator.iter)
            self.field("ifs", generator.ifs)
        for name in ("elt", "key", "value"):
            value = getattr(node, name, None)
            if value is not None:
                self.field(name, value)
        self.leave()
        self.out.append(")")

    def lambda_(self, node: ast.Lambda) -> None:
        self.out.append("Lambda(")
        self._defaults(node.args)
        scope = self.enter("function")
        self._parameters(node.args, scope, keep=False)
        self.node(node.body)
        self.leave()
        self.out.append(")")

    def _defaults(self, arguments: ast.arguments) -> None:
        self.field("defaults", arguments.defaults)
        self.field("kw_defaults", arguments.kw_defaults)

    def _parameters(self, arguments: ast.arguments, scope: Scope, keep: bool) -> None:
        groups = (
            ("/", arguments.posonlyargs),
            ("", arguments.args),
            ("*", [arguments.vararg] if arguments.vararg else []),
            ("k", arguments.kwonlyargs),
            ("**", [arguments.kwarg] if arguments.kwarg else []),
        )
        names = []
        for mark, group in groups:
            for argument in group:
                names.append(argument.arg)
                self.out.append(f"{mark}{argument.arg!a}")
        scope.bound.update(names)
        scope.parameters = frozenset(names)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._bind(node.name)
        in_class = self.scope.kind == "class"
        self.out.append(f"{type(node).__name__}({node.name!a}")
        self.field("decorators", node.decorator_list)
        self._defaults(node.args)
        decorated = dynamic.may_read_annotations(node.decorator_list, self.resolve)
        keep = self.context.keep_annotations or decorated or (in_class and self._method_annotations)
        generic = list(getattr(node, "type_params", ()))
        outer = self.enter("function") if generic else self.scope
        self._type_parameters(generic, outer, keep)
        if keep:
            self._signature_annotations(node)
        scope = self.enter("function", None if generic else node.name)
        self._parameters(node.args, scope, keep)
        if in_class:
            self._receiver(node, scope)
        self.body("body", node.body, docs=True)
        self.leave()
        if generic:
            self.leave()
        self.out.append(")")

    def _signature_annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.kept_annotations = True
        given = node.args
        every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
        for argument in every:
            if argument is not None and argument.annotation is not None:
                self.out.append(f"annotation:{argument.arg!a}")
                self._annotation(argument.annotation)
        if node.returns is not None:
            self.out.append("returns")
            self._annotation(node.returns)

    def _receiver(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        marks = {chain_of(decorator) for decorator in node.decorator_list}
        first = [*node.args.posonlyargs, *node.args.args][:1]
        if not first or ("staticmethod",) in marks:
            return
        scope.receiver = first[0].arg
        scope.receiver_is_class = ("classmethod",) in marks or first[0].arg != "self"

    def _type_parameters(self, parameters: list[ast.AST], scope: Scope, keep: bool) -> None:
        scope.bound.update(getattr(parameter, "name", "") for parameter in parameters)
        if keep:
            self.field("type_params", parameters)

    def class_(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
        self.out.append(f"ClassDef({node.name!a}")
        self.field("decorators", node.decorator_list)
        generic = list(getattr(node, "type_params", ()))
        outer = self.enter("function") if generic else self.scope
        self._type_parameters(generic, outer, True)
        self.field("bases", node.bases)
        self.field("keywords", node.keywords)
        before = self._class_annotations, self._method_annotations
        plain = not (node.decorator_list or node.bases or node.keywords)
        self._class_annotations = self.context.keep_annotations or not plain
        self._method_annotations = dynamic.may_read_annotations(node.decorator_list, self.resolve)
        defined = {getattr(inner, "name", None) for inner in node.body}
        if "__init_subclass__" in defined:
            self.registers_subclasses = True
        self.enter("class", node.name)
        self.body("class", node.body, docs=True)
        self.leave()
        if generic:
            self.leave()
        self._class_annotations, self._method_annotations = before
        self.out.append(")")


def _all_named(targets: Iterable[ast.AST], name: str) -> bool:
    return all(isinstance(target, ast.Attribute) and target.attr == name for target in targets)


_SPECIAL: dict[type, Callable[[Walk, Any], None]] = {
    ast.Name: Walk.name,
    ast.Attribute: Walk.attribute,
    ast.Subscript: Walk.subscript,
    ast.Constant: Walk.constant,
    ast.Expr: Walk.expression,
    ast.Call: Walk.call,
    ast.Assign: Walk.assign,
    ast.AnnAssign: Walk.annotated,
    ast.AugAssign: Walk.augmented,
    ast.Global: Walk.global_,
    ast.Nonlocal: Walk.nonlocal_,
    ast.Import: Walk.import_,
    ast.ImportFrom: Walk.import_from,
    ast.ExceptHandler: Walk.handler,
    ast.MatchAs: Walk.pattern,
    ast.MatchStar: Walk.pattern,
    ast.MatchMapping: Walk.mapping_pattern,
    ast.Compare: Walk.comparison,
    ast.ListComp: Walk.comprehension,
    ast.SetComp: Walk.comprehension,
    ast.GeneratorExp: Walk.comprehension,
    ast.DictComp: Walk.comprehension,
    ast.Lambda: Walk.lambda_,
    ast.FunctionDef: Walk.function,
    ast.AsyncFunctionDef: Walk.function,
    ast.ClassDef: Walk.class_,
}
