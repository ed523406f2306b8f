"""The catalogue that is read from the source is what the code registers when it is imported."""

from assay.core.catalogue import default_of, first_line, read, recipes, registered
from assay.core.config import FAMILIES
from assay.core.recipe import names


def shipped() -> dict[str, list[str]]:
    """The registered kinds that are Assay's own, not a test's."""
    registered()  # imports all
    families = {name: family.kinds.items() for name, family in sorted(FAMILIES.items())}
    return {name: [key for key, leaf in kinds if leaf.__module__.startswith("assay.")] for name, kinds in families.items()}


def test_its_families_and_kinds_are_the_registered_ones() -> None:
    assert {name: list(kinds) for name, kinds in read().families.items()} == shipped()


def test_the_settings_of_every_kind_are_those_of_its_config() -> None:
    found = read().families
    for family, kinds in shipped().items():
        for kind in kinds:
            leaf = FAMILIES[family].kinds[kind]
            fields = [(key, default_of(field), field.description or "") for key, field in leaf.model_fields.items() if key != "kind"]
            assert [tuple(setting) for setting in found[family][kind].settings()] == fields, f"{family} {kind}"
            assert found[family][kind].summary == first_line(leaf.__doc__), f"{family} {kind}"


def test_its_presets_are_the_registered_ones() -> None:
    registered()
    made = {name: make for family in FAMILIES.values() for name, make in family.presets.items() if make.__module__.startswith("assay.")}
    assert read().presets == {name: first_line(made[name].__doc__) for name in sorted(made)}


def test_the_registry_says_the_same_in_the_same_words() -> None:
    read_kind, registered_kind = (source.families["mixer"]["lstm"] for source in (read(), registered()))
    assert (read_kind.summary, read_kind.settings()) == (registered_kind.summary, registered_kind.settings())


def test_recipes_are_listed_with_their_comments() -> None:
    assert list(recipes()) == names()
    assert all(recipes().values())
