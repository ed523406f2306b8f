"""What kinds, settings and presets there are, read from their source, so that listing them imports no torch.

A family is found by the line that begins its class, a kind by its field `kind: Literal["full"] = "full"`, a setting by
`setting(default, "description")`, also where it is inherited, a preset by `@preset("name")`. Only what is asked for is parsed. A test
holds what is read here equal to what is registered. Other packages' kinds cannot be read, only imported: where there are any, all is.
"""

import ast
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.core.discovery import import_package, plugins

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from assay.core.config import Config

ROOT = Path(__file__).parents[1]
PLACES = ("data", "models", "nn", "objective", "optim", "text")  # the packages that define families and kinds
MARKS = ("kind: Literal[", ', family="', "@preset(")  # a file without any of these defines neither family, kind nor preset
CLASS = re.compile(r"^class (\w+)\(([^)]*)\):\n((?:    .*\n|\n)*)", re.MULTILINE)
FAMILY = re.compile(r'family="(\w+)", package="([\w.]+)"')
KIND = re.compile(r'^    kind: Literal\["(\w+)"\]', re.MULTILINE)
METHOD = re.compile(r"^    (?:def|@)", re.MULTILINE)
IMPORT = re.compile(r"^from (assay[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
PRESET = re.compile(r'^@preset\("([\w-]+)"\)\ndef \w+\(\) -> \w+:\n    """(.*?)(?:""")?$', re.MULTILINE)


class Setting(NamedTuple):
    """A setting of a kind, its default as it is shown."""

    name: str
    default: str
    description: str


@dataclass(frozen=True)
class Kind:
    """A kind of a family; its settings are looked up when they are asked for."""

    name: str
    summary: str
    settings: Callable[[], list[Setting]]


class Catalogue(NamedTuple):
    """The kinds of every family and all presets, each in order of the names."""

    families: Mapping[str, Mapping[str, Kind]]
    presets: Mapping[str, str]  # the first line of what each says of itself


@cache
def catalogue() -> Catalogue:
    """What there is: from the source, or from the registry where other packages add to it."""
    return registered() if plugins() else read()


def read() -> Catalogue:
    """What there is in this package, from its source."""
    modules = [module for module in map(_module, _names()) if any(mark in module.source for mark in MARKS)]
    families: dict[str, dict[str, Kind]] = {}
    for found in (found for module in modules for found in module.classes.values()):
        if found.family is not None and found.declares is not None:
            families.setdefault(found.family, {})[found.declares] = Kind(found.declares, found.summary, found.settings)
    presets = {match[1]: match[2] for module in modules for match in PRESET.finditer(module.source)}
    return Catalogue({name: dict(sorted(kinds.items())) for name, kinds in sorted(families.items())}, dict(sorted(presets.items())))


def recipes() -> dict[str, str]:
    """The recipes that ship with Assay, and what the comment says first that each begins with."""
    paths = {path.stem: path for path in (ROOT / "recipes").glob("*.toml")}
    heads = {name: path.read_text(encoding="utf-8").partition("\n")[0] for name, path in sorted(paths.items())}
    return {name: head[1:].strip() if head.startswith("#") else "" for name, head in heads.items()}


def registered() -> Catalogue:
    """What there is, everything imported."""
    from assay.core.config import FAMILIES  # noqa: PLC0415 (pydantic, which reading the source does not need)

    for package in sorted({match[2] for name in _names() for match in FAMILY.finditer(_module(name).source)}):
        import_package(package)

    return Catalogue(
        {
            name: {key: Kind(key, first_line(leaf.__doc__), partial(_settings, leaf)) for key, leaf in family.kinds.items()}
            for name, family in sorted(FAMILIES.items())
        },
        dict(sorted((name, first_line(make.__doc__)) for family in FAMILIES.values() for name, make in family.presets.items())),
    )


def _settings(leaf: "type[Config]") -> list[Setting]:
    """The settings of a config that is imported."""
    return [Setting(key, default_of(field), field.description or "") for key, field in leaf.model_fields.items() if key != "kind"]


def default_of(field: "FieldInfo") -> str:
    """The default of an imported config's field as it is shown: a config by its kind."""
    value = field.get_default(call_default_factory=True, validated_data={})
    plain = value.tree().get("kind", "{...}") if hasattr(value, "tree") else value
    return "(required)" if field.is_required() else shown(plain)


def shown(value: Any) -> str:
    """A default in a word."""
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else str(value)


def first_line(text: str | None) -> str:
    """The first line of a docstring."""
    return text.strip().partition("\n")[0] if text else ""


def _names() -> Iterator[str]:
    """The modules that may define kinds."""
    for place in PLACES:
        for folder, _, files in os.walk(ROOT / place):
            within = os.path.relpath(folder, ROOT.parent).replace(os.sep, ".")
            yield from (f"{within}.{file.removesuffix('.py')}" for file in files if file.endswith(".py"))


@cache
def _module(name: str) -> "_Module":
    return _Module(name, ROOT.parent.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


class _Module:
    """A module as it is written."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    @cached_property
    def classes(self) -> "dict[str, _Class]":
        """The classes at its top."""
        return {match[1]: _Class(self, match[1], match[2], match[3]) for match in CLASS.finditer(self.source)}

    @cached_property
    def imports(self) -> dict[str, str]:
        """Where the names come from that it takes from modules of this package."""
        return {name.strip(): match[1] for match in IMPORT.finditer(self.source) for name in (match[2] or match[3]).split(",")}

    def find(self, name: str) -> "_Class | None":
        """The class that a name means in it; None where it is not of this package."""
        if name in self.classes:
            return self.classes[name]
        return _module(self.imports[name]).find(name) if name in self.imports else None

    def constant(self, name: str) -> Any:
        """The value of a constant that it defines or imports."""
        for node in ast.parse(self.source).body:
            if isinstance(node, ast.Assign):
                [target] = node.targets
                names = [part.id for part in (target.elts if isinstance(target, ast.Tuple) else [target]) if isinstance(part, ast.Name)]
                if name in names:
                    value = eval(ast.unparse(node.value), {"__builtins__": {}})  # a literal, or a product of some, of this package
                    return value[names.index(name)] if isinstance(target, ast.Tuple) else value
        return _module(self.imports[name]).constant(name)


class _Class:
    """A class as it is written, up to its first method."""

    def __init__(self, module: _Module, name: str, head: str, body: str) -> None:
        self.module, self.name, self.head = module, name, head
        method = METHOD.search(body)
        self.body = body[: method.start()] if method else body
        kind = KIND.search(self.body)
        self.declares = kind[1] if kind else None  # the kind that its own field names

    @cached_property
    def bases(self) -> "list[_Class]":
        """The classes of this package that it derives from."""
        words = [word.strip() for word in self.head.split(",") if "=" not in word]
        return [found for word in words if (found := self.module.find(word)) is not None]

    @cached_property
    def family(self) -> str | None:
        """The family that it founds or belongs to."""
        own = FAMILY.search(self.head)
        return own[1] if own else next(filter(None, (base.family for base in self.bases)), None)

    @cached_property
    def parsed(self) -> list[ast.stmt]:
        """Its statements but for methods."""
        [node] = ast.parse(f"class {self.name}:\n{self.body}").body
        assert isinstance(node, ast.ClassDef)
        return node.body

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        match = re.match(r'\s*"""(.*?)(?:"""|$)', self.body, re.MULTILINE)
        return match[1] if match else ""

    @cached_property
    def twin(self) -> type:
        """An empty class with bases of the same order, which knows in which order fields are inherited."""
        return type(self.name, tuple(base.twin for base in self.bases), {"read": self})

    def settings(self) -> list[Setting]:
        """Its settings and those that it inherits, in the order of the config."""
        found: dict[str, Setting] = {}
        for twin in reversed(self.twin.__mro__[:-1]):
            found |= {one.name: one for one in twin.read.own_settings()}  # type: ignore[attr-defined]
        return [one for name, one in found.items() if name != "kind"]

    def own_settings(self) -> Iterator[Setting]:
        """Those that it declares itself."""
        for node in self.parsed:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or "ClassVar" in ast.dump(node.annotation):
                continue
            name, value, description = node.target.id, node.value, ""
            if isinstance(value, ast.Call) and getattr(value.func, "id", None) == "setting":
                value, described = value.args
                description = ast.literal_eval(described)
            required = value is None or (isinstance(value, ast.Constant) and value.value is ...)
            yield Setting(name, "(required)" if required else shown(self._value(value)), description)

    def _value(self, node: ast.expr | None) -> Any:
        """What a default is: a config by its kind, a constant by its value."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            made = self.module.find(node.func.id)
            return (made and made.kind) or "{...}"
        if isinstance(node, ast.Name):
            return self.module.constant(node.id)
        assert node is not None
        return ast.literal_eval(node)

    @property
    def kind(self) -> str | None:
        """The kind that its field names, its own or an inherited one."""
        return self.declares or next(filter(None, (base.kind for base in self.bases)), None)
