"""A study file is read whole, checked whole, and refused with the place, the cause and the remedy."""

import re
import tomllib
from pathlib import Path

import pytest

from assay.core import recipe
from assay.errors import ConfigError
from assay.studies.file import StudyConfig, find_file, list_bundled, list_scales
from assay.studies.planning import make_plan
from studies.planned import study

AXES = '[axes]\n"model.depth" = [2, 3]\n'


def test_what_is_absent_has_the_documented_default(tmp_path: Path) -> None:
    read = StudyConfig.load(str(study(tmp_path, AXES)))
    assert (read.mode, read.seeds, read.match, read.checkpoint, read.report_on) == ("one-factor", (0,), ("tokens",), "best", "test")
    assert read.lr_factors == (1.0,)
    assert not read.tunes_learning_rates
    assert (read.base_seeds, read.seed_deviation) == ((), None)


def test_a_base_in_a_file_is_found_beside_the_study(tmp_path: Path) -> None:
    assert StudyConfig.load(str(study(tmp_path, AXES))).base == str((tmp_path / "tiny.toml").resolve())


def test_a_scale_is_laid_over_the_file_and_its_axes_merge(tmp_path: Path) -> None:
    file = study(tmp_path, AXES + '[scales.tiny]\nseeds = [3]\n[scales.tiny.axes]\n"batches.size" = [4]\n')
    small = StudyConfig.load(str(file), "tiny")
    assert small.seeds == (3,)
    assert list(small.axes) == ["model.depth", "batches.size"]
    assert StudyConfig.load(str(file)).seeds == (0,)
    assert list_scales(str(file)) == ["tiny"]


def test_a_study_survives_being_written_and_read(tmp_path: Path) -> None:
    body = 'seeds = [0, 1]\nlr_factors = [0.5, 1.0]\n[axes]\n"model.block.mixer" = [{ kind = "local", window = 4 }]\n[launch]\ngpus = 1\n'
    read = StudyConfig.load(str(study(tmp_path, body)))
    assert StudyConfig.make(tomllib.loads(recipe.to_toml(read.to_dict()))) == read


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sedes = [0]\n", "sedes: unknown key; did you mean 'seeds'?"),
        ("seeds = []\n", "seeds: is empty"),
        ("seeds = [1, 1]\n", "seeds: names a value twice"),
        ("seeds = [0, 1]\nbase_seeds = [2, 1]\n", "base_seeds: name seed 1, which every arm has already; name others"),
        ("base_seeds = [2, 2]\n", "base_seeds: names a value twice"),
        ("base_seeds = [-2]\n", "base_seeds: are numbers from 0 on"),
        ("seed_deviation = 0.0\n", "seed_deviation: input should be greater than 0"),
        ("seeds = [-1]\n", "seeds: are numbers from 0 on"),
        ('mode = "all"\n', "mode: input should be 'one-factor', 'grid' or 'pairs'"),
        ('match = ["tokens", "minutes"]\n', "match: tokens and minutes cannot both be equal"),
        ("lr_factors = [0.0]\n", "lr_factors: multiply learning rates"),
        ('metric = "bits_per_bite"\n', "metric: unknown figure 'bits_per_bite'; did you mean 'bits_per_byte'?"),
        ("[axes]\nmodel.depth = [2]\n", "axes.model: expects a list of values"),
        ("[launch]\ngpu = 1\n", "launch.gpu: unknown key; did you mean 'gpus'?"),
        ("seeds = 0 0\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_the_remedy(tmp_path: Path, body: str, said: str) -> None:
    file = study(tmp_path, body)
    with pytest.raises(ConfigError, match=r"study\.toml") as raised:
        StudyConfig.load(str(file))
    assert said in str(raised.value)


def test_only_the_base_has_the_seeds_of_the_base(tmp_path: Path) -> None:
    read = StudyConfig.load(str(study(tmp_path, "seeds = [0, 1]\nbase_seeds = [5, 3]\n" + AXES)))
    assert (read.seeds_of("base"), read.seeds_of("depth=2")) == ((0, 1, 5, 3), (0, 1))


def test_an_unknown_scale_names_those_there_are(tmp_path: Path) -> None:
    file = study(tmp_path, AXES + "[scales.tiny]\nseeds = [0]\n")
    with pytest.raises(ConfigError, match="has no scale 'small'"):
        StudyConfig.load(str(file), "small")
    with pytest.raises(ConfigError, match=r"add a table \[scales.NAME\]"):
        StudyConfig.load(str(study(tmp_path, AXES)), "tiny")


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'more-layers'"):
        find_file("more-layer")
    with pytest.raises(ConfigError, match=r"no study file nowhere\.toml"):
        find_file("nowhere.toml")
    assert all(find_file(name).is_file() for name in list_bundled())


def test_the_docs_name_every_key_and_their_example_plans(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "study-files.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) >= {*StudyConfig.model_fields, "scales", *list_bundled()}
    example = tmp_path / "mine.toml"
    example.write_text(re.findall(r'^```toml title="mine.toml"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)[0], encoding="utf-8")
    for scale in (None, "tiny"):
        assert len(make_plan(str(example), scale, with_costs=False).arms) == 6
