"""All that a target reaches: definitions, constants, statements, modules, distributions.

A worklist over names. Needing a name takes every statement that binds it or changes its object; taking a
statement needs every name that it mentions. Modules that get imported on the way add what their import
does. The result does not depend on the order of the work.
"""

from __future__ import annotations

import ast
import builtins

from hydra_cached.keys.code.bindings import Module, Unit
from hydra_cached.keys.code.dynamic import EVERYTHING_INSIDE
from hydra_cached.keys.code.effects import Effects
from hydra_cached.keys.code.imports import Imports
from hydra_cached.keys.code.resolve import Key
from hydra_cached.keys.code.source import Located
from hydra_cached.keys.code.syntax import ANYTHING, Chain, words

_BUILTINS = frozenset(dir(builtins))
_IMPORT_NAMES = words(
    "__name__ __file__ __path__ __package__ __spec__ __loader__ __builtins__ __cached__ __version__"
)
# Why a whole module counts, where nothing in it is to blame.
AS_VALUE = "used as a value"
_COMPUTED = "an attribute with a computed name"
Taken = tuple[str, int]  # (module, index of the unit)


class Reach:
    """One walk from one target.

    Attributes:
        imports: modules that get imported.
        distributions: third-party distributions in use, name -> version.
        needed: names in use.
        whole: modules that count as a whole -> why.
        taken: statements that count.
        hints: what could not be followed, in words.
    """

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.resolver = effects.resolver
        self.modules = effects.resolver.modules
        self.imports = Imports(effects, self._take, lambda key: key in self.needed)
        self.distributions: dict[str, str] = {}
        self.hints: set[str] = set()
        self.needed: dict[Key, None] = {}
        self._followed: set[tuple[str, Chain]] = set()
        self.whole: dict[str, set[str]] = {}
        self.taken: dict[Taken, tuple[Module, Unit]] = {}
        self._walked: dict[Taken, tuple[bool, bool]] = {}
        self._queue: list[tuple[Module, Unit]] = []
        self._reads: set[str] = set()
        self._annotated: set[Taken] = set()
        self._documented: set[Taken] = set()
        self._loose: set[Taken] = set()

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
            self._take_imported_inside()
            again = [pair for taken, pair in self.taken.items() if self._walked[taken] != self.counts(taken)]
            if not again and not self._queue:
                return
            self._queue += again

    def counts(self, taken: Taken) -> tuple[bool, bool]:
        """Whether annotations and docstrings of a statement count.

        Where code reads those of objects that come from elsewhere, it may be any object that is not just
        called by its name.
        """
        loose = taken in self._loose
        annotations = taken in self._annotated or (loose and "annotations" in self._reads)
        return annotations, taken in self._documented or (loose and "docs" in self._reads)

    def _take_imported_inside(self) -> None:
        """An attribute of a package with a computed name may be a module inside that is imported by then."""
        for name, reasons in list(self.whole.items()):
            for inner in self.imports.inside(name) if _COMPUTED in reasons else ():
                self._take_whole(inner, _COMPUTED)

    def _find_loose(self) -> None:
        """Note which statements define objects that get into other hands: classes, decorated and passed ones."""
        for taken, (module, unit) in self.taken.items():
            node = unit.node
            if isinstance(node, ast.ClassDef) or getattr(node, "decorator_list", None):
                self._loose.add(taken)
            mentions = unit.form(module, *self._walked[taken]).mentions
            meanings = [m for chain in mentions.values for m in self.resolver.meanings(module, chain)]
            meanings += [
                m for base, chain in mentions.absolute for m in self.resolver.from_module(base, chain)
            ]
            for meaning in meanings:
                self._loosen(meaning.key)

    def _loosen(self, key: Key | None) -> None:
        module = self.modules.get(key[0]) if key is not None else None
        for unit in module.live_binders(key[1]) if module is not None and key is not None else ():
            assert module is not None
            self._loose.add((module.name, unit.index))

    def _take(self, module: Module, unit: Unit) -> None:
        taken = (module.name, unit.index)
        if taken not in self.taken:
            self.taken[taken] = module, unit
            self._walked[taken] = (False, False)
            self._queue.append((module, unit))

    def _walk(self, module: Module, unit: Unit) -> None:
        taken = (module.name, unit.index)
        self._walked[taken] = counts = self.counts(taken)
        form = unit.form(module, *counts)
        self._reads |= form.reads
        if "subclasses" in form.reads:
            self.imports.count_subclasses()
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

    def _mention(self, module: Module, chain: Chain, because: str = AS_VALUE) -> None:
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
            own = self.modules.is_first_party(source)
            if self.resolver.provides(source, root) if own else root not in module.binders:
                self.imports.add_changer((module.name, root), module, unit)
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

    def _need_key(self, key: Key) -> None:
        if key in self.needed:
            return
        self.needed[key] = None
        module = self.modules.get(key[0])
        for unit in module.live_binders(key[1]) if module is not None else ():
            assert module is not None
            self._take(module, unit)
        for changing, unit in self.imports.changers.get(key, ()):
            self._take(changing, unit)

    def _follow(self, origin: Module | None, name: str, chain: Chain, because: str = AS_VALUE) -> None:
        """Take what ``name.chain`` denotes.

        Args:
            origin: the module that mentions it.
            name: a module.
            chain: attributes; empty for the module itself.
            because: what to say if this means a whole module.
        """
        if chain and chain[-1] == "":
            self.imports.enter(name)
            if len(chain) == 2:
                self.imports.enter_member(name, chain[0])
            return
        located = self.modules.locate(name)
        if located is None or located.owner == "stdlib":
            return
        if located.owner == "third-party":
            self._follow_third_party(located, chain)
            return
        if not self.modules.is_first_party(name):
            return
        self.imports.enter(name)
        module = self.modules.get(name)
        if module is not None and module.opaque is not None:
            self._take_whole(name, "no source that can be parsed")
            return
        if not chain and name == "__main__":
            self.hints.add("__main__: used as a value: only what is named counts")
        elif not chain:
            self._take_whole(name, because)
        elif chain[0] == EVERYTHING_INSIDE:
            self._take_all_inside(located)
        elif chain[0] == ANYTHING or chain[0] == "__dict__":
            self._take_whole(name, _COMPUTED)
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
            self.hints.add(f"{name}: {head} comes from the module's __getattr__")
            self._mention(module, ("__getattr__",))
            for inner_name in self._all_inside(located):
                inner = self.modules.get(inner_name)
                if inner is not None and inner.live_binders(head):
                    self._follow(origin, inner_name, chain)
        elif any(not self.modules.is_first_party(source) for _, source in module.stars):
            self._mention(module, chain)
        elif not self.imports.changers.get((name, head)) and not head.startswith("__"):
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
        known = name in self.whole
        self.whole.setdefault(name, set()).add(because)
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
                self.imports.enter(source)
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
            self.imports.enter(name)
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
                    if (key[0], binder.index) in self.taken:
                        self._queue.append((base, binder))
