"""Which statements change objects that other names hold: registries, patched classes, filled lists.

An import executes more than bindings: ``REGISTRY["a"] = f``, ``items.append(x)``, ``@register("a")`` where
``register`` writes to a registry, a subclass of a class with ``__init_subclass__``. Whoever uses the
changed object depends on these statements, wherever they stand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from hydra_cached.keys.code.bindings import Call, Module, Unit
from hydra_cached.keys.code.resolve import Key, Meaning, Resolver
from hydra_cached.keys.code.scopes import Mentions
from hydra_cached.keys.code.syntax import Chain, words

_ALL = 1 << 30
# Calls from outside the project that leave what they are given as it is.
_READING = frozenset(
    "builtins." + name
    for name in words(
        "abs all any bool bytes callable dict enumerate filter float format frozenset getattr hasattr hash "
        "id int isinstance issubclass len list map max min object print range repr reversed round set slice sorted "
        "str sum super tuple type vars zip"
    )
) | words(
    "functools.partial functools.reduce itertools.chain itertools.product operator.itemgetter "
    "collections.namedtuple collections.OrderedDict collections.Counter collections.defaultdict "
    "collections.ChainMap types.MappingProxyType typing.cast typing.NamedTuple typing.TypeVar typing.NewType "
    "dataclasses.replace dataclasses.asdict dataclasses.field copy.copy copy.deepcopy json.dumps re.compile "
    "pathlib.Path os.path.join os.path.dirname os.path.abspath os.path.basename os.environ.get os.getenv "
    "enum.Enum enum.IntEnum logging.getLogger numpy.array numpy.asarray"
)
_READING_METHODS = words(
    "copy count endswith format get index items join keys lower split startswith strip upper values"
)
_SETTING = re.compile(r"\.(manual_seed|seed|seed_everything|set_\w*seed\w*|set_default_\w+|load_dotenv)$")
_LOOKING_UP = re.compile(r"\.(get|current|default|instance)[^.]*$")
_REGISTERING = re.compile(r"(?i)regist(er|ry)[^.]*(\.[^.]*)?$")
# A class that is registered there answers isinstance of its own instances, no more.
_ABSTRACT = ("collections.abc.", "numbers.", "os.PathLike.")
_HARMLESS = ("logging.", "warnings.", "builtins.print", "atexit.register", "faulthandler.", "rich.traceback.")


class Effects:
    """Answers, memoised, what statements change; one per look."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._modules = resolver.modules
        self._read: dict[Key, frozenset[Key]] = {}
        self._written: dict[Key, frozenset[Key]] = {}
        self._steps: dict[tuple[Key, int], tuple[frozenset[Key], frozenset[Key]]] = {}
        self._changes: dict[tuple[str, int], frozenset[Key]] = {}

    def changes(self, module: Module, unit: Unit) -> frozenset[Key]:
        """Names, here or in other modules, whose objects a statement changes when it is imported."""
        place = (module.name, unit.index)
        if place not in self._changes:
            self._changes[place] = self._find_changes(module, unit)
        return self._changes[place]

    def _find_changes(self, module: Module, unit: Unit) -> frozenset[Key]:
        changed: set[Key] = set()
        for chain in unit.stores:
            changed |= {m.key for m in self.resolver.meanings(module, chain) if m.key is not None}
        for call in unit.calls:
            changed |= self._changes_by_call(module, call)
        return frozenset(changed - {(module.name, name) for name in unit.binds})

    def is_effect(self, module: Module, unit: Unit) -> bool:
        """Whether a statement acts on something outside the project's own variables."""
        for chain in unit.stores:
            for meaning in self.resolver.meanings(module, chain):
                if meaning.key is None or self._is_shared(meaning.key):
                    return True
        for call in unit.calls:
            if call.kind == "bare" and self._acts(module, call):
                return True
            if call.kind == "value" and any(
                self._sets_state(meaning) for meaning in self.resolver.meanings(module, call.function)
            ):
                return True
            if call.kind.startswith("decorator"):
                # A registry outside the project: what is entered there may be what a target gets out.
                for meaning in self.resolver.meanings(module, call.function):
                    if _REGISTERING.search(meaning.external) and not meaning.external.startswith(_ABSTRACT):
                        return True
        return False

    def _is_shared(self, key: Key) -> bool:
        """Whether a variable is something of others that a call looked up: ``context = decimal.getcontext()``."""
        module = self._modules.get(key[0])
        for unit in module.live_binders(key[1]) if module is not None else ():
            for call in unit.calls:
                assert module is not None
                for meaning in self.resolver.meanings(module, call.function):
                    name = meaning.external
                    if meaning.key is None and _LOOKING_UP.search(name):
                        if name not in _READING and not name.startswith(_HARMLESS):
                            return True
        return False

    def _acts(self, module: Module, call: Call) -> bool:
        meanings = self.resolver.meanings(module, call.function)
        if not meanings:
            return True
        for meaning in meanings:
            if meaning.key is None:
                if meaning.external in _READING or meaning.external.startswith((*_HARMLESS, *_ABSTRACT)):
                    continue
                if meaning.external.startswith("builtins."):
                    given = [m for chain in call.given for m in self.resolver.meanings(module, chain)]
                    if given and all(m.key is not None for m in given):
                        continue  # setattr(own, ..): a change, not an effect
                return True
            kind = self.resolver.kind(meaning.key)
            if not meaning.rest or kind == "class":
                return True
            if kind == "variable" and self._made_by_own_code(meaning.key):
                return True
        return False

    def _sets_state(self, meaning: Meaning) -> bool:
        """Whether a call sets global state by its name, or calls by name what does: ``SEED = seed_all(1)``."""
        if meaning.key is None:
            return _SETTING.search(meaning.external) is not None
        module = self._modules.get(meaning.key[0])
        if module is None or self.resolver.kind(meaning.key) != "function":
            return False
        forms = [unit.form(module, False, False) for unit in module.live_binders(meaning.key[1])]
        chains = [chain for form in forms for chain in form.mentions.chains]
        return any(
            inner.key is None and _SETTING.search(inner.external)
            for chain in chains
            for inner in self.resolver.meanings(module, chain)
        )

    def _made_by_own_code(self, key: Key) -> bool:
        module = self._modules.get(key[0])
        for unit in module.live_binders(key[1]) if module is not None else ():
            for call in unit.calls:
                assert module is not None
                if any(m.key is not None for m in self.resolver.meanings(module, call.function)):
                    return True
        return False

    def _changes_by_call(self, module: Module, call: Call) -> set[Key]:
        changed: set[Key] = set()
        meanings = self.resolver.meanings(module, call.function)
        if call.kind == "bases":
            for meaning in meanings:
                if meaning.key is not None and self.registers(meaning.key):
                    changed |= {meaning.key} | self.written(meaning.key)
            return changed
        patches = False
        reading = bool(meanings)
        for meaning in meanings:
            if meaning.key is None:
                reading &= meaning.external in _READING
                continue
            reading = False
            limit = {"decorator": 0, "decorator-call": 1}.get(call.kind, 0)
            changed |= self._written_by(meaning.key, limit)
            patches |= self._patches(meaning.key, "patches_parameters")
            if meaning.rest and self._changes_receiver(meaning, call.kind):
                changed.add(meaning.key)
        if not reading:
            changed |= self._changes_given(module, call, patches)
        return changed

    def _changes_receiver(self, meaning: Meaning, kind: str) -> bool:
        assert meaning.key is not None
        bound = self.resolver.kind(meaning.key)
        if bound in ("constant", "logger"):
            return False
        if kind == "value" and bound == "class":
            return self._patches(meaning.key, "patches_class")
        return not (kind == "value" and meaning.rest[-1] in _READING_METHODS)

    def _changes_given(self, module: Module, call: Call, patches: bool) -> set[Key]:
        changed: set[Key] = set()
        for chain in call.given:
            for meaning in self.resolver.meanings(module, chain):
                if meaning.key is None:
                    continue
                bound = self.resolver.kind(meaning.key)
                definition = bound in ("function", "class")
                if bound == "variable" or (definition and (patches or call.kind == "bare")):
                    changed.add(meaning.key)
        return changed

    def registers(self, key: Key, seen: frozenset[Key] = frozenset()) -> bool:
        """Whether defining a subclass of this class runs first-party code."""
        module = self._modules.get(key[0])
        if module is None or key in seen:
            return False
        for unit in module.live_binders(key[1]):
            node = unit.node
            if not isinstance(node, ast.ClassDef):
                continue
            if any(getattr(inner, "name", None) == "__init_subclass__" for inner in node.body):
                return True
            for call in unit.calls:
                if call.kind != "bases":
                    continue
                for meaning in self.resolver.meanings(module, call.function):
                    if meaning.external == "builtins.type":
                        return True  # a metaclass
                    if meaning.key is not None and self.registers(meaning.key, seen | {key}):
                        return True
        return False

    def _patches(self, key: Key, what: str) -> bool:
        module = self._modules.get(key[0])
        units = module.live_binders(key[1]) if module is not None else []
        return any(getattr(unit.form(module, False, False).mentions, what) for unit in units if module)

    def read(self, key: Key) -> frozenset[Key]:
        """All names that this one mentions, directly or through others, and itself."""
        if key not in self._read:
            reached = {key}
            queue = [key]
            while queue:
                mentioned = self._step(queue.pop(), _ALL)[1]
                queue += mentioned - reached
                reached |= mentioned
            self._read[key] = frozenset(reached)
        return self._read[key]

    def written(self, key: Key) -> frozenset[Key]:
        """Names whose objects may be changed when this one is called, by itself or by what it calls.

        Names that mention each other in a circle share one answer; they are found with Tarjan's algorithm
        (R. Tarjan, Depth-first search and linear graph algorithms, 1972), without recursion.
        """
        if key in self._written:
            return self._written[key]
        number: dict[Key, int] = {key: 0}
        low: dict[Key, int] = {key: 0}
        circle: list[Key] = [key]
        path: list[tuple[Key, Iterator[Key]]] = [(key, iter(self._step(key, _ALL)[1]))]
        while path:
            current, others = path[-1]
            for other in others:
                if other in self._written:
                    continue
                if other not in number:
                    number[other] = low[other] = len(number)
                    circle.append(other)
                    path.append((other, iter(self._step(other, _ALL)[1])))
                    break
                low[current] = min(low[current], number[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[current])
                if low[current] == number[current]:
                    start = circle.index(current)
                    self._settle(circle[start:])
                    del circle[start:]
        return self._written[key]

    def _settle(self, circle: list[Key]) -> None:
        """Give all names of one circle their common answer."""
        found: set[Key] = set()
        for key in circle:
            own, mentioned = self._step(key, _ALL)
            found.update(own, *(self._written[other] for other in mentioned if other in self._written))
        answer = frozenset(found)
        self._written.update((key, answer) for key in circle)

    def _written_by(self, key: Key, limit: int) -> set[Key]:
        own, mentioned = self._step(key, limit)
        return set(own).union(*(self.written(other) for other in mentioned - {key}))

    def _step(self, key: Key, limit: int) -> tuple[frozenset[Key], frozenset[Key]]:
        """What the definition of a name changes itself, and whom it mentions, down to a depth."""
        if (key, limit) not in self._steps:
            self._steps[key, limit] = self._find_step(key, limit)
        return self._steps[key, limit]

    def _find_step(self, key: Key, limit: int) -> tuple[frozenset[Key], frozenset[Key]]:
        module = self._modules.get(key[0])
        changed: set[Key] = set()
        mentioned: set[Key] = set()
        for unit in module.live_binders(key[1]) if module is not None else ():
            assert module is not None
            found: Mentions = unit.form(module, False, False).mentions
            changed |= {(module.name, name) for name in found.rebound}
            for chain, depth in found.writes.items():
                if depth <= limit:
                    changed |= self._keys(self.resolver.meanings(module, chain))
            for (base, rest), depth in found.absolute_writes.items():
                if depth <= limit:
                    changed |= self._keys(self.resolver.from_module(base, rest))
            for chain, depth in found.chains.items():
                if depth <= limit:
                    mentioned |= self._keys(self.resolver.meanings(module, chain))
            for base, rest in found.absolute:
                mentioned |= self._keys(self.resolver.from_module(base, _without_marks(rest)))
        changed = {other for other in changed if self.resolver.kind(other) not in ("constant", "logger")}
        return frozenset(changed), frozenset(mentioned)

    def _keys(self, meanings: list[Meaning]) -> set[Key]:
        return {meaning.key for meaning in meanings if meaning.key is not None}


def _without_marks(chain: Chain) -> Chain:
    return tuple(name for name in chain if name not in ("", "*", "**"))
