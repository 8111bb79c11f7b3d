"""Which names of a piece of code mean module globals: Python's scope rules, over the AST.

One :class:`Scope` stands for one function, class body, comprehension, or the module itself. While a
tree is walked each scope collects what it binds and what it mentions; when it is left, what it does
not bind itself is handed to the scope that Python would ask next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hydra_cached.keys.code.syntax import Absolute, Chain


@dataclass
class Scope:
    """What one scope binds and mentions.

    Depths count how many functions stand between a mention and the outermost function: code of depth 0
    runs when that function is called, code of depth 1 when the function that it returns is called.
    """

    kind: str  # "module", "function", "class" or "comprehension"
    parent: Scope | None = None
    name: str | None = None
    parameters: frozenset[str] = frozenset()
    receiver: str | None = None  # a method's first parameter
    receiver_is_class: bool = False
    bound: set[str] = field(default_factory=set)
    certain: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    declared_global: set[str] = field(default_factory=set)
    declared_nonlocal: set[str] = field(default_factory=set)
    chains: dict[Chain, int] = field(default_factory=dict)
    values: set[Chain] = field(default_factory=set)
    writes: dict[Chain, int] = field(default_factory=dict)
    imports: dict[str, list[Absolute]] = field(default_factory=dict)
    aliases: dict[str, set[Chain]] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    pending: list[Scope] = field(default_factory=list)

    def mention(self, chain: Chain, as_value: bool = True) -> None:
        """Note a load. In a class body, names that the body has bound by now are its own."""
        if chain[0] in self.certain and chain[0] not in self.imports:
            return
        self.chains.setdefault(chain, 0)
        if as_value:
            self.values.add(chain)

    def write(self, chain: Chain) -> None:
        """Note a change to the object that the chain names."""
        if chain[0] in self.certain:
            return
        self.writes.setdefault(chain, 0)

    def settle(self, always: bool) -> None:
        """A statement of a class body is over: what it ``always`` binds is the body's own from now on."""
        if always:
            self.certain |= self.bound - self.declared_global - self.doubtful
        else:
            self.doubtful |= self.bound - self.certain

    def owns(self, name: str) -> bool:
        """Whether a name, mentioned in this scope, is this scope's own."""
        return name in self.bound and name not in self.declared_global and name not in self.declared_nonlocal


@dataclass
class Mentions:
    """What is left over when all scopes of one statement are closed.

    Attributes:
        chains: mentions of module globals -> their least depth.
        values: those mentions that are not just called: the object gets into other hands.
        writes: module globals whose object is changed -> least depth; ("x", "a") for ``x.a = ..``, ("x",)
            for ``x[..] = ..`` and ``x.append(..)``.
        absolute: mentions through imports inside functions and through dynamic imports of constants; a
            chain that ends in "" only imports.
        absolute_writes: as ``writes``, through imports inside functions.
        rebound: globals bound by a function's ``global`` statement.
        reads_docs: the docstring of an object that came from elsewhere is read.
        patches_parameters: some function sets attributes on what it is given (``self`` excepted).
        patches_class: some method changes the state of its class.
    """

    chains: dict[Chain, int] = field(default_factory=dict)
    values: set[Chain] = field(default_factory=set)
    writes: dict[Chain, int] = field(default_factory=dict)
    absolute: set[Absolute] = field(default_factory=set)
    absolute_writes: dict[Absolute, int] = field(default_factory=dict)
    rebound: set[str] = field(default_factory=set)
    reads_docs: bool = False
    patches_parameters: bool = False
    patches_class: bool = False


def close(scope: Scope, mentions: Mentions) -> None:
    """Hand over what a scope does not own to the next scope outwards.

    Nested functions are settled together with the function around them, for only then is it known
    which of them it calls itself.
    """
    for nested in scope.pending:
        deeper = 0 if nested.name is None or nested.name in scope.called else 1
        _merge(nested, scope, mentions, deeper)
    scope.pending.clear()
    if scope.kind == "module":
        _finish(scope, mentions)
        return
    outer = scope.parent
    assert outer is not None
    if scope.kind == "function" and outer.kind in ("function", "comprehension"):
        outer.pending.append(scope)
    else:
        _merge(scope, outer, mentions, 0)


def _merge(scope: Scope, outer: Scope, mentions: Mentions, deeper: int) -> None:
    if scope.kind != "class":
        # A class body does not lend its names to the functions in it.
        while outer.kind == "class" and outer.parent is not None:
            outer = outer.parent
    module = outer
    while module.parent is not None:
        module = module.parent
    for chain, depth in scope.chains.items():
        root = chain[0]
        if root in scope.declared_global:
            _lower(module.chains, chain, depth + deeper)
            module.values.add(chain)
        elif scope.owns(root) and (scope.kind != "class" or root in scope.imports):
            for base, rest in scope.imports.get(root, ()):
                mentions.absolute.add((base, rest + chain[1:]))
            mentions.reads_docs |= "__doc__" in chain and root not in scope.imports
        else:
            _lower(outer.chains, chain, depth + deeper)
            if chain in scope.values:
                outer.values.add(chain)
    for chain, depth in scope.writes.items():
        root = chain[0]
        if root in scope.declared_global:
            _lower(module.writes, chain, depth + deeper)
        elif not scope.owns(root) or scope.kind == "class":
            _lower(outer.writes, chain, depth + deeper)
        else:
            _write_to_own(scope, chain, depth + deeper, outer, mentions)
    for name in scope.imports.keys() & scope.declared_global:
        mentions.absolute.update(scope.imports[name])
    mentions.rebound |= scope.declared_global & scope.bound


def _write_to_own(scope: Scope, chain: Chain, depth: int, outer: Scope, mentions: Mentions) -> None:
    root = chain[0]
    for actual in scope.aliases.get(root, ()):
        if not scope.owns(actual[0]):
            _lower(outer.writes, actual + chain[1:], depth)
    for base, rest in scope.imports.get(root, ()):
        mentions.absolute_writes[(base, rest + chain[1:])] = depth
    if root == scope.receiver:
        mentions.patches_class |= scope.receiver_is_class or "__class__" in chain
    elif root in scope.parameters and len(chain) > 1:
        mentions.patches_parameters = True


def _finish(scope: Scope, mentions: Mentions) -> None:
    for chain, depth in scope.chains.items():
        _lower(mentions.chains, chain, depth)
    mentions.values |= scope.values
    for chain, depth in scope.writes.items():
        _lower(mentions.writes, chain, depth)


def _lower(depths: dict[Chain, int], chain: Chain, depth: int) -> None:
    if depth < depths.get(chain, depth + 1):
        depths[chain] = depth
