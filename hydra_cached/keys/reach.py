"""All that a target reaches: definitions, constants, statements, modules, distributions.

A worklist over names. Needing a name takes every statement that binds it or changes its object; taking a
statement needs every name that it mentions. Modules that get imported on the way add what their import
does. The result does not depend on the order of the work.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from blake3 import blake3

from hydra_cached.keys.bindings import Module, Unit
from hydra_cached.keys.dynamic import EVERYTHING_INSIDE
from hydra_cached.keys.effects import Effects
from hydra_cached.keys.resolve import Key
from hydra_cached.keys.source import Located, parents
from hydra_cached.keys.syntax import ANYTHING, Chain, words

_BUILTINS = frozenset(dir(builtins))
_IMPORT_NAMES = words(
    "__name__ __file__ __path__ __package__ __spec__ __loader__ __builtins__ __cached__ __version__"
)
# Why a whole module counts, where nothing in it is to blame.
_VALUE = "used as a value"
Taken = tuple[str, int]  # (module, index of the unit)


class Reach:
    """One walk from one target.

    Attributes:
        distributions: third-party distributions in use, name -> version.
    """

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.resolver = effects.resolver
        self.modules = effects.resolver.modules
        self.distributions: dict[str, str] = {}
        self._notes: set[str] = set()
        self._order: dict[str, Module] = {}
        self._entered: set[str] = set()
        self._needed: dict[Key, None] = {}
        self._followed: set[tuple[str, Chain]] = set()
        self._whole: dict[str, set[str]] = {}
        self._changers: dict[Key, list[tuple[Module, Unit]]] = {}
        self._effects: dict[str, list[Unit]] = {}
        self._taken: dict[Taken, tuple[Module, Unit]] = {}
        self._walked: dict[Taken, tuple[bool, bool]] = {}
        self._queue: list[tuple[Module, Unit]] = []
        self._reads: set[str] = set()
        self._annotated: set[Taken] = set()
        self._documented: set[Taken] = set()
        self._loose: set[Taken] = set()

    # -- the walk

    def need(self, name: str, chain: Chain) -> None:
        """Take what ``chain``, looked up from module ``name``, denotes, and all that it reaches."""
        self._follow(None, name, chain)
        self.run()

    def run(self) -> None:
        """Work until nothing new turns up."""
        while True:
            while self._queue:
                self._walk(*self._queue.pop())
            if self._reads & {"annotations", "docs"}:
                self._find_loose()
            again = [pair for taken, pair in self._taken.items() if self._walked[taken] != self._counts(taken)]
            if not again:
                return
            self._queue += again

    def _counts(self, taken: Taken) -> tuple[bool, bool]:
        """Whether annotations and docstrings of a statement count.

        Where code reads those of objects that come from elsewhere, it may be any object that is not just
        called by its name.
        """
        loose = taken in self._loose
        annotations = taken in self._annotated or (loose and "annotations" in self._reads)
        return annotations, taken in self._documented or (loose and "docs" in self._reads)

    def _find_loose(self) -> None:
        """Note which statements define objects that get into other hands: classes, decorated and passed ones."""
        for taken, (module, unit) in self._taken.items():
            node = unit.node
            if isinstance(node, ast.ClassDef) or getattr(node, "decorator_list", None):
                self._loose.add(taken)
            mentions = unit.form(module, *self._walked[taken]).mentions
            meanings = [m for chain in mentions.values for m in self.resolver.meanings(module, chain)]
            meanings += [m for base, chain in mentions.absolute for m in self.resolver.from_module(base, chain)]
            for meaning in meanings:
                self._loosen(meaning.key)

    def _loosen(self, key: Key | None) -> None:
        module = self.modules.get(key[0]) if key is not None else None
        for unit in module.live_binders(key[1]) if module is not None and key is not None else ():
            assert module is not None
            self._loose.add((module.name, unit.index))

    def _take(self, module: Module, unit: Unit) -> None:
        taken = (module.name, unit.index)
        if taken not in self._taken:
            self._taken[taken] = module, unit
            self._walked[taken] = (False, False)
            self._queue.append((module, unit))

    def _walk(self, module: Module, unit: Unit) -> None:
        taken = (module.name, unit.index)
        self._walked[taken] = counts = self._counts(taken)
        form = unit.form(module, *counts)
        self._reads |= form.reads
        if "subclasses" in form.reads:
            self._index_subclasses()
        for chain in form.mentions.chains:
            self._mention(module, chain)
            if "__doc__" in chain[1:]:
                self._document(module, chain)
        for base, chain in sorted(form.mentions.absolute):
            self._follow(module, base, chain)
        for path in sorted(form.paths):
            self._follow_path(module, path)
        for puzzle in sorted(form.puzzles):
            self._take_whole(module.name, puzzle)
            if "import" in puzzle:
                self._follow_strings(module)
        if isinstance(unit.node, ast.ClassDef):
            self._look_at_bases(module, unit, unit.node)

    def _mention(self, module: Module, chain: Chain, because: str = _VALUE) -> None:
        root = chain[0]
        if (module.name, chain) in self._followed:
            return
        self._followed.add((module.name, chain))
        if root in _BUILTINS and root != "__doc__" and root not in module.binders and not module.stars:
            return
        self._need_key((module.name, root))
        for base, rest in module.imports.get(root, ()):
            self._follow(module, base, rest + chain[1:], because)
        for unit, source in module.stars:
            if self.modules.is_first_party(source):
                if self.resolver.provides(source, root):
                    self._take_binder((module.name, root), module, unit)
                    self._follow(module, source, chain, because)
            elif root not in module.binders:
                self._follow(module, source, chain, because)
        if module.names_are_computed and root not in _BUILTINS and not self.resolver.defines(module, root):
            if not root.startswith("__") and root not in module.checked_only:
                self._take_whole(module.name, f"{root} is not defined where it can be seen")

    def _document(self, module: Module, chain: Chain) -> None:
        """The docstring of what a mention denotes is read."""
        for meaning in self.resolver.meanings(module, chain):
            other = self.modules.get(meaning.key[0]) if meaning.key is not None else None
            for unit in other.live_binders(meaning.key[1]) if other is not None and meaning.key else ():
                assert other is not None
                self._documented.add((other.name, unit.index))

    def _take_binder(self, key: Key, module: Module, unit: Unit) -> None:
        pairs = self._changers.setdefault(key, [])
        if not any(known is unit for _, known in pairs):
            pairs.append((module, unit))
        self._take(module, unit)

    def _need_key(self, key: Key) -> None:
        if key in self._needed:
            return
        self._needed[key] = None
        module = self.modules.get(key[0])
        for unit in module.live_binders(key[1]) if module is not None else ():
            assert module is not None
            self._take(module, unit)
        for changing, unit in self._changers.get(key, ()):
            self._take(changing, unit)

    def _follow(self, origin: Module | None, name: str, chain: Chain, because: str = _VALUE) -> None:
        """Take what ``name.chain`` denotes.

        Args:
            origin: the module that mentions it.
            name: a module.
            chain: attributes; empty for the module itself.
            because: what to say if this means a whole module.
        """
        if chain and chain[-1] == "":
            self._enter(name)
            if len(chain) == 2:
                self._enter_member(name, chain[0])
            return
        located = self.modules.locate(name)
        if located is None or located.owner == "stdlib":
            return
        if located.owner == "third-party":
            self._follow_third_party(located, chain)
            return
        if not self.modules.is_first_party(name):
            return
        self._enter(name)
        module = self.modules.get(name)
        if module is not None and module.opaque is not None:
            self._take_whole(name, "no source that can be parsed")
            return
        if not chain and name == "__main__":
            self._notes.add("__main__: used as a value: only what is named counts")
        elif not chain:
            self._take_whole(name, because)
        elif chain[0] == EVERYTHING_INSIDE:
            self._take_all_inside(located)
        elif chain[0] == ANYTHING or chain[0] == "__dict__":
            self._take_whole(name, "an attribute with a computed name")
            if origin is not None and chain[0] == ANYTHING:
                self._take_whole(origin.name, f"an attribute of {name} with a computed name")
        else:
            self._follow_attribute(origin, located, module, chain, because)

    def _follow_attribute(
        self, origin: Module | None, located: Located, module: Module | None, chain: Chain, because: str
    ) -> None:
        name, head = located.name, chain[0]
        submodule = f"{name}.{head}"
        if module is not None and self.resolver.defines(module, head):
            self._mention(module, chain, because)
            if len(chain) > 1 and located.is_package:
                inner = self.modules.get(submodule)
                if inner is not None and self.resolver.defines(inner, chain[1]):
                    self._follow(origin, submodule, chain[1:])
            return
        if located.is_package and self.modules.locate(submodule) is not None:
            if module is not None and head in module.binders:
                self._need_key((name, head))
            self._follow(origin, submodule, chain[1:], because)
            return
        if module is None or head in _IMPORT_NAMES:
            return
        self._need_key((name, head))
        if module.live_binders("__getattr__"):
            self._notes.add(f"{name}: {head} comes from the module's __getattr__")
            self._mention(module, ("__getattr__",))
            for inner_name in self._all_inside(located):
                inner = self.modules.get(inner_name)
                if inner is not None and inner.live_binders(head):
                    self._follow(origin, inner_name, chain)
        elif any(not self.modules.is_first_party(source) for _, source in module.stars):
            self._mention(module, chain)
        elif not self._changers.get((name, head)) and not head.startswith("__"):
            self._take_whole(name, f"{head} is not defined where it can be seen")

    def _follow_third_party(self, located: Located, chain: Chain) -> None:
        if located.distribution is not None:
            self.distributions[located.distribution[0]] = located.distribution[1]
        for part in chain:
            # Parts of a namespace package belong to other distributions.
            if located.path is not None or not part.isidentifier():
                return
            inner = self.modules.locate(f"{located.name}.{part}")
            if inner is None:
                return
            located = inner
            if located.distribution is not None:
                self.distributions[located.distribution[0]] = located.distribution[1]

    def _follow_path(self, module: Module, path: str) -> None:
        """Take the definition that a string names, if it does name one."""
        top, *rest = path.split(".")
        if not self.modules.is_first_party(top):
            return
        for meaning in self.resolver.from_module(top, tuple(rest)):
            other = self.modules.get(meaning.key[0]) if meaning.key is not None else None
            if meaning.key is not None and other is not None and other.live_binders(meaning.key[1]):
                self._follow(module, top, tuple(rest))

    def _follow_strings(self, module: Module) -> None:
        """Take first-party modules that are named by strings beside an import of a computed name."""
        for text in sorted(set(module.strings())):
            name = text.partition(":")[0]
            if name.startswith("."):
                name = module.package + "." + name.lstrip(".")
            if not all(part.isidentifier() for part in name.split(".")) or name in (module.name, "__main__"):
                continue
            while name and not (self.modules.is_first_party(name) and self.modules.get(name)):
                name = name.rpartition(".")[0]
            if name and name != module.name and not module.name.startswith(name + "."):
                self._take_whole(name, f"named by a string in {module.name}")

    def _take_whole(self, name: str, because: str) -> None:
        known = name in self._whole
        self._whole.setdefault(name, set()).add(because)
        if known:
            return
        module = self.modules.get(name)
        if module is None:
            return
        for unit in module.units:
            if not unit.in_main or name == "__main__":
                self._take(module, unit)
        for bound in module.binders:
            if module.live_binders(bound) and not self._is_foreign_module(module, bound):
                self._mention(module, (bound,), f"inside {name}, which counts as a whole")
        for _, source in module.stars:
            if self.modules.is_first_party(source):
                self._enter(source)
                self._take_whole(source, f"imported by {name}, which counts as a whole")
            else:
                self._follow(module, source, (ANYTHING,))

    def _is_foreign_module(self, module: Module, bound: str) -> bool:
        """Whether a name is bound to a module from elsewhere: it counts for what is used of it, not as a whole."""
        for base, rest in module.imports.get(bound, ()):
            name = ".".join((base, *rest))
            if rest and self.modules.is_first_party(base):
                origin = self.modules.get(base)
                if origin is not None and self.resolver.defines(origin, rest[0]):
                    continue
            if self.modules.is_first_party(name) and not name.startswith(module.name + "."):
                return True
        return False

    def _take_all_inside(self, located: Located) -> None:
        for name in self._all_inside(located):
            self._enter(name)
            self._take_whole(name, "imported by a computed name")

    def _all_inside(self, located: Located) -> list[str]:
        found: list[str] = []
        for name in self.modules.finder.submodules(located):
            inner = self.modules.locate(name)
            if inner is not None and inner.owner == "first-party":
                found.append(name)
                found += self._all_inside(inner) if inner.is_package else []
        return found

    def _look_at_bases(self, module: Module, unit: Unit, node: ast.ClassDef) -> None:
        """Annotations of a plain class count if a decorator or a foreign base of a subclass may read them."""
        own: set[Key] = set()
        foreign = bool(node.decorator_list or node.keywords)
        for call in unit.calls:
            if call.kind == "bases":
                for meaning in self.resolver.meanings(module, call.function):
                    if meaning.key is not None:
                        own.add(meaning.key)
                    elif not meaning.external.startswith(("builtins.", "abc.", "typing.Generic")):
                        foreign = True
        foreign = foreign or (module.name, unit.index) in self._annotated
        for key in own if foreign else ():
            base = self.modules.get(key[0])
            for binder in base.live_binders(key[1]) if base is not None else ():
                if isinstance(binder.node, ast.ClassDef) and (key[0], binder.index) not in self._annotated:
                    self._annotated.add((key[0], binder.index))
                    assert base is not None
                    if (key[0], binder.index) in self._taken:
                        self._queue.append((base, binder))

    # -- modules

    def _enter(self, name: str) -> None:
        """Note that a module gets imported: its own imports, its effects, what it changes elsewhere."""
        if name in self._entered or not self.modules.is_first_party(name):
            return
        self._entered.add(name)
        for parent in parents(name):
            self._enter(parent)
        module = self.modules.get(name)
        if module is None:
            return
        for base, member in module.loads:
            self._enter(base)
            if member is not None:
                self._enter_member(base, member)
        self._order[name] = module
        for unit in module.units:
            if unit.in_main and name != "__main__":
                continue
            for key in sorted(self.effects.changes(module, unit)):
                self._changers.setdefault(key, []).append((module, unit))
                if key in self._needed:
                    self._take(module, unit)
        for unit in module.effects:
            if self.effects.is_effect(module, unit):
                self._effects.setdefault(name, []).append(unit)
                self._take(module, unit)
        if "subclasses" in self._reads:
            self._index_subclasses()

    def _enter_member(self, name: str, member: str) -> None:
        module = self.modules.get(name)
        if self.modules.is_first_party(name) and (module is None or not self.resolver.defines(module, member)):
            self._enter(f"{name}.{member}")

    def _index_subclasses(self) -> None:
        """From now on, every imported subclass of a needed class counts."""
        for module in list(self._order.values()):
            for unit in module.units:
                for call in unit.calls if isinstance(unit.node, ast.ClassDef) else ():
                    if call.kind != "bases":
                        continue
                    for meaning in self.resolver.meanings(module, call.function):
                        if meaning.key is None:
                            continue
                        pairs = self._changers.setdefault(meaning.key, [])
                        if not any(known is unit for _, known in pairs):
                            pairs.append((module, unit))
                        if meaning.key in self._needed:
                            self._take(module, unit)

    # -- the outcome

    def parts(self) -> dict[str, str]:
        """Digests by name; see :class:`hydra_cached.keys.code.Fingerprint`."""
        rank = {name: place for place, name in enumerate(self._order)}
        found: dict[str, str] = dict(self.distributions)
        ordered: set[str] = set()
        for key in self._needed:
            pairs = self._units_of(key, rank)
            if pairs:
                found[".".join(key)] = self._digest(pairs)
                if len({module.name for module, _ in pairs}) > 1:
                    ordered.update(module.name for module, _ in pairs)
        for name, units in self._effects.items():
            found[f"{name}:<module level>"] = self._digest((self._order[name], unit) for unit in units)
            ordered.add(name)
        for name in self._whole:
            module = self.modules.get(name)
            if module is not None:
                units = [unit for unit in module.units if (name, unit.index) in self._taken]
                found[f"whole module {name}"] = module.opaque or self._digest((module, unit) for unit in units)
        for name, module in self._order.items():
            doc = ast.get_docstring(module.tree, clean=False) if (name, "__doc__") in self._needed else None
            if doc is not None:
                found[f"{name}.__doc__"] = _hexdigest([doc])
        if len(ordered) > 1:
            found["order of imports"] = _hexdigest(sorted(ordered, key=lambda name: rank.get(name, -1)))
        return found

    def _units_of(self, key: Key, rank: dict[str, int]) -> list[tuple[Module, Unit]]:
        """The statements behind a name in the order in which they run."""
        module = self.modules.get(key[0])
        pairs = [(module, unit) for unit in module.live_binders(key[1])] if module is not None else []
        pairs += self._changers.get(key, [])
        executed = {(m.name, unit.index) for m, unit in pairs if not unit.is_import}
        if module is not None and len(executed) > 1:
            # Reading a name between two changes of it is not the same as reading it after both.
            for name, index in self._taken:
                unit = module.units[index] if name == module.name else None
                if unit is not None and (key[1] in unit.reads or self._runs_reader(module, unit, key)):
                    pairs.append((module, unit))
        unique = {(m.name, unit.index): (m, unit) for m, unit in pairs if (m.name, unit.index) in self._taken}
        return sorted(unique.values(), key=lambda pair: (rank.get(pair[0].name, -1), pair[1].index))

    def _runs_reader(self, module: Module, unit: Unit, key: Key) -> bool:
        for call in unit.calls:
            for meaning in self.resolver.meanings(module, call.function) if call.kind != "bases" else ():
                if meaning.key is not None and key in self.effects.read(meaning.key):
                    return True
        return False

    def _digest(self, pairs: Iterable[tuple[Module, Unit]]) -> str:
        digests: list[str] = []
        for module, unit in pairs:
            form = unit.form(module, *self._counts((module.name, unit.index)))
            if not (unit.is_import and form.digest in digests):
                digests.append(form.digest)
        return _hexdigest(digests)

    def files(self) -> set[str]:
        """Source files that were taken into account."""
        return {self.modules.paths[name] for name in self._order}

    def notes(self) -> set[str]:
        """What could not be followed statically, in words for a person."""
        found = set(self._notes)
        for name, reasons in self._whole.items():
            reasons = reasons - {_VALUE} or reasons
            found.update(f"{name}: {reason}: the whole module counts" for reason in reasons)
        return found


def _hexdigest(texts: Iterable[str]) -> str:
    return blake3("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
