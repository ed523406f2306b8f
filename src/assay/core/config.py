"""Configs: frozen, typed and validated when made; each family of kinds is found by importing its package.

A *family* is an abstract config (`MixerConfig`), a *kind* one of its leaves (`FullConfig`, `kind = "full"`). A field typed
with a family accepts a kind's name, a mapping with `kind`, or a mapping without it, which then changes the field's default.
A *preset* is a named, complete config of a family and is written where a kind's name could stand.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator
from pydantic.fields import FieldInfo

from assay.core.catalogue import import_package, import_plugins
from assay.core.invalid_values import name_remedy
from assay.core.renames import SINCE, find_old_words, new_name, restore, suggest_today
from assay.core.trees import MAX_INTEGER, Tree, check_plain, digest, merge
from assay.errors import ConfigError, UnknownKeyError, suggest

Affected = Literal["output", "training", "cost", "data", "report"]


def setting(default: Any, description: str, *, alternative: Any = None, affects: Affected = "output", **rules: Any) -> Any:
    """Declare a documented config field.

    `affects` declares what changes with the value (the property suite checks it): the `output` at initialisation, the weights
    after two `training` steps, the `cost` or the parameter count, the `data`, or only what is written down (`report`).
    `alternative` is a second legal value for that test.
    """
    return Field(default, description=description, json_schema_extra={"affects": affects, "alternative": alternative}, **rules)


class Family:
    """The kinds and presets that may stand in one place of a config."""

    def __init__(self, name: str, package: str, base: "type[Config]") -> None:
        self.name, self.package, self.base = name, package, base
        self._kinds: dict[str, type[Config]] = {}
        self._presets: dict[str, Callable[[], Config]] = {}
        self.preset_descriptions: dict[str, str] = {}

    def register(self, kind: str, leaf: "type[Config]") -> None:
        """Add a kind. Raises ConfigError where another class has its name."""
        known = self._kinds.get(kind)
        if known is not None and (known.__module__, known.__qualname__) != (leaf.__module__, leaf.__qualname__):
            raise ConfigError(self.name, f"kind '{kind}' is defined by both {known.__module__} and {leaf.__module__}")
        self._kinds[kind] = leaf

    def unregister(self, kind: str) -> None:
        """Remove a kind, such as one that a test defined."""
        self._kinds.pop(kind, None)

    def register_preset(self, name: str, make: "Callable[[], Config]", description: str) -> None:
        """Add a preset: the function that makes it, and what it is."""
        self._presets[name], self.preset_descriptions[name] = make, description

    @property
    def kinds(self) -> "dict[str, type[Config]]":
        """The config class of every kind, plug-ins' included."""
        self._discover()
        return dict(sorted(self._kinds.items()))

    @property
    def presets(self) -> "dict[str, Callable[[], Config]]":
        """The function that makes each preset."""
        self._discover()
        return dict(sorted(self._presets.items()))

    def _discover(self) -> None:
        import_package(self.package)
        import_plugins()

    def _explain_unknown_kind(self, word: str) -> str:
        """Say why a kind is refused, with the kind that others call so."""
        others = {name: kind for kind, leaf in self.kinds.items() for name in leaf.also_called}
        known = [*self.kinds, *self.presets]
        close = get_close_matches(word, [*known, *others], n=1)
        if close and close[0] in others:
            return f"unknown kind '{word}'; did you mean '{others[close[0]]}'?"
        hint = suggest_today(word, known)
        return hint if new_name(word) in known else f"unknown kind '{word}'; {hint}"

    def make(self, value: Any) -> "Config":
        """Make the config that a kind's name, a preset's name or a mapping with `kind` stands for."""
        tree: Tree = {"kind": value} if isinstance(value, str) else dict(value)
        kind = tree.get("kind")
        if kind is None:
            raise ConfigError("kind", f"is missing; {suggest('', self.kinds)}")
        if not isinstance(kind, str):
            raise ConfigError("kind", f"{kind!r} is no name of a kind; {suggest('', self.kinds)}")
        if kind in self.presets:
            base = self.presets[kind]()
            return self.make(merge(base.to_dict(), {**tree, "kind": base.to_dict()["kind"]}))
        if kind not in self.kinds:
            raise ConfigError("", self._explain_unknown_kind(str(kind)))
        return self.kinds[kind].make(tree)


FAMILIES: dict[str, Family] = {}


class Config(BaseModel):
    """A frozen part of an experiment. Unknown keys are refused; every error has the path of its key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)
    family: ClassVar[Family | None] = None
    also_called: ClassVar[tuple[str, ...]] = ()  # what others call this kind; never accepted, only understood in a refusal

    def __init_subclass__(cls, family: str | None = None, package: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)

    @classmethod
    def __pydantic_init_subclass__(cls, family: str | None = None, package: str | None = None, **rest: Any) -> None:
        super().__pydantic_init_subclass__(**rest)
        if family is not None and package is not None:
            cls.family = FAMILIES[family] = Family(family, package, cls)
        elif cls.family is not None and "kind" in cls.model_fields:
            cls.family.register(cls.model_fields["kind"].default, cls)

    @classmethod
    def add_preset(cls, name: str, description: str, make: "Callable[[], Config]") -> None:
        """Register a named config of this family in one line; `preset` is for one whose description is long."""
        assert cls.family is not None, f"preset {name}: add it to the config of a family"
        cls.family.register_preset(name, make, description)

    @classmethod
    def make(cls, tree: Mapping[str, Any]) -> Self:
        """Make the config of a mapping. Raises ConfigError with the path of the first mistake."""
        try:
            return cls.model_validate(dict(tree))
        except ValidationError as invalid:
            first = invalid.errors()[0]
            path = ".".join(_keep_keys(first["loc"], tree))
            raised = first.get("ctx", {}).get("error")  # by a validator of ours; pydantic's message has more words before it
            reason = str(raised) if isinstance(raised, Exception) else first["msg"]
            if first["type"] == "missing":
                raise ConfigError(path, "is missing; add it, or begin from a recipe that has it with extends") from None
            if first["type"] != "value_error":
                reason += f" (given: {first['input']!r}){name_remedy(first['type'], first.get('ctx', {}))}"
            raise ConfigError(path, reason[:1].lower() + reason[1:]) from None

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        resolved: Tree = {}
        for key, value in data.items():
            field = cls.model_fields.get(key)
            if field is None:
                raise _refuse_unknown_key(str(key), value, cls.model_fields)
            try:
                check_plain(value)
                resolved[key] = _resolve_value(value, field.annotation, field)
            except ConfigError as error:
                raise error.with_prefix(key) from None
        return resolved

    def to_dict(self) -> Tree:
        """Write the config as plain nested dicts, lists and scalars; None means absent."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """Hash the canonical JSON of the config in the words of the first version by sha256: renaming a key changes no digest."""
        return digest(restore(self.to_dict()))

    def replace(self, **values: Any) -> Self:
        """Make a copy with some fields replaced, validated again."""
        return type(self).make({**{name: getattr(self, name) for name in type(self).model_fields}, **values})


def _refuse_unknown_key(key: str, value: Any, known: Mapping[str, FieldInfo]) -> UnknownKeyError:
    """Make the error for a key that is not known: with what it is called today, all old words in it at once, or one that is like it."""
    if new_name(key) in known and (old := find_old_words(key, value)):
        return UnknownKeyError(old[0].partition("=")[0], f"'{old[0]}' is called '{old[1]}' since {SINCE}; write that")
    deeper = [f"{name}.{key}" for name, field in known.items() if key in _list_keys(config_class(field.annotation))]
    hint = f"did you mean '{deeper[0]}'?" if deeper else suggest_today(key, known)
    return UnknownKeyError(key, f"unknown key; {hint}")


def _list_keys(config: type[Config] | None) -> set[str]:
    """List the keys of a config, or of all kinds of its family."""
    if config is None:
        return set()
    kinds = () if config.family is None else config.family.kinds.values()
    return {key for kind in (config, *kinds) for key in kind.model_fields}


def _keep_keys(place: tuple[int | str, ...], tree: Any) -> Iterator[str]:
    """Keep of the place of an error what are keys, and not the names of alternatives among which a value was looked for."""
    for index, part in enumerate(place):
        inside = (isinstance(tree, Mapping) and part in tree) or (
            isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree)
        )
        if index == 0 or inside:
            yield str(part)
            tree = tree[part] if inside else None


def config_class(annotation: Any) -> type[Config] | None:
    """Find the Config class inside an annotation such as `SerializeAsAny[X]`, `X | None`, or None."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Config) else None
    if get_origin(annotation) in (tuple, dict):
        return None
    return next(filter(None, (config_class(argument) for argument in get_args(annotation))), None)


def is_family(cls: type[Config]) -> bool:
    """Whether a config class is the abstract base of a family rather than a kind."""
    return cls.family is not None and cls.family.base is cls


def _resolve_value(value: Any, annotation: Any, field: FieldInfo) -> Any:
    """Make the config that a field's value stands for; a mapping without `kind` changes the field's default."""
    target = config_class(annotation)
    if target is not None and isinstance(value, Mapping | str):
        if isinstance(value, Mapping) and "kind" not in value:
            default = field.get_default(call_default_factory=True, validated_data={})
            if isinstance(default, Config):
                value = merge(default.to_dict(), value)
        if is_family(target):
            assert target.family is not None
            return target.family.make(value)
        if isinstance(value, str):
            raise ConfigError("", f"expects a table of keys, not '{value}'")
        return target.make(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_INTEGER and annotation in (int, int | None):
        return int(value)  # 1e3 is how TOML's and Python's users write a whole number
    return tuple(value) if isinstance(value, list) else value


C = TypeVar("C", bound="Config")


def preset(name: str) -> Callable[[Callable[[], C]], Callable[[], C]]:
    """Register a function without arguments as the maker of a named config of its family."""

    def register(make: Callable[[], C]) -> Callable[[], C]:
        made = make.__annotations__["return"]
        assert made.family is not None, f"preset {name}: annotate the family's config as the return type"
        made.family.register_preset(name, make, make.__doc__ or "")
        return make

    return register


__all__ = ["FAMILIES", "Config", "Family", "SerializeAsAny", "preset", "setting"]
