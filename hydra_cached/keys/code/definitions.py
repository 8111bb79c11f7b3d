"""The part of the walk that opens scopes (functions, classes, comprehensions) or declares names in them."""

from __future__ import annotations

import ast

from hydra_cached.keys.code import dynamic
from hydra_cached.keys.code.scopes import Scope, close
from hydra_cached.keys.code.syntax import Absolute, chain_of, imported
from hydra_cached.keys.code.walk import HANDLERS, Context, Walk


class FullWalk(Walk):
    """A walk over anything; :func:`hydra_cached.keys.code.normal.form_of` is its face."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._class_annotations = False
        self._method_annotations = False

    def annotated(self, node: ast.AnnAssign) -> None:
        keep = self._class_annotations if self.scope.kind == "class" else False
        if keep:
            self.kept_annotations = True
            self.out.append("Annotated(")
            self.annotation(node.annotation)
            if node.value is not None:
                self.field("value", node.value)
            self.field("target", node.target)
            self.out.append(")")
        elif node.value is not None:
            plain = ast.Assign(targets=[node.target], value=node.value)
            self.assign(plain)
        elif isinstance(node.target, ast.Name):
            if self.scope.kind != "class":
                self.bind(node.target.id)

    def annotation(self, node: ast.AST) -> None:
        self.node(node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                chain = dynamic.chain_in_text(inner.value)
                if chain is not None:
                    self.mention(chain)

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
        self.bind(bound)
        self.scope.imports.setdefault(bound, []).append(target)
        self.telling.add(bound)
        self.mentions.absolute.add(effect)

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
        self._parameters(node.args, scope)
        self.node(node.body)
        self.leave()
        self.out.append(")")

    def _defaults(self, arguments: ast.arguments) -> None:
        self.field("defaults", arguments.defaults)
        self.field("kw_defaults", arguments.kw_defaults)

    def _parameters(self, arguments: ast.arguments, scope: Scope) -> None:
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
        self.bind(node.name)
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
        self._parameters(node.args, scope)
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
                self.annotation(argument.annotation)
        if node.returns is not None:
            self.out.append("returns")
            self.annotation(node.returns)

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
        self.bind(node.name)
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
        self.enter("class", node.name)
        self.body("class", node.body, docs=True)
        self.leave()
        if generic:
            self.leave()
        self._class_annotations, self._method_annotations = before
        self.out.append(")")


FullWalk.handlers = {
    **HANDLERS,
    ast.AnnAssign: FullWalk.annotated,
    ast.Global: FullWalk.global_,
    ast.Nonlocal: FullWalk.nonlocal_,
    ast.Import: FullWalk.import_,
    ast.ImportFrom: FullWalk.import_from,
    ast.ListComp: FullWalk.comprehension,
    ast.SetComp: FullWalk.comprehension,
    ast.GeneratorExp: FullWalk.comprehension,
    ast.DictComp: FullWalk.comprehension,
    ast.Lambda: FullWalk.lambda_,
    ast.FunctionDef: FullWalk.function,
    ast.AsyncFunctionDef: FullWalk.function,
    ast.ClassDef: FullWalk.class_,
}
