"""Whatever is in a search's file, a W&B sweep or a journal, the answer is what it means or one sentence."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ConfigError
from assay.searches.file import SearchConfig, SearchOptions, read_search
from support.experiment import write_recipe, write_text
from support.fuzz import BYTES, FEW, MANY, accept_or_refuse, change, mutate, write_json, write_toml

yaml = pytest.importorskip("yaml", reason="needs pyyaml, of the extra search")

SEARCH: dict[str, Any] = {
    "question": "which?", "base": "tiny.toml", "trials": 4, "sampler": "random", "seeds": [0], "metric": "bits_per_byte",
    "space": {
        "optimizer.lr": {"min": 1e-4, "max": 1e-1, "log": True}, "model.depth": {"min": 1, "max": 4}, "train.clip": [0.5, 1.0],
        "schedule.kind": {"choice": ["cosine", "linear"]},
    },
    "pruner": {"kind": "asha", "min_tokens": 100, "reduction": 2}, "scales": {"tiny": {"trials": 2, "space": {"train.clip": [1.0]}}},
}  # fmt: skip
SWEEP: dict[str, Any] = {
    "program": "train.py", "method": "random", "metric": {"name": "val_loss", "goal": "minimize"}, "run_cap": 3,
    "parameters": {
        "optimizer": {"parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1}}},
        "model.depth": {"min": 1, "max": 4}, "train.clip": {"values": [0.5, 1.0]}, "train.seed": {"value": 3},
        "model.width": {"distribution": "q_uniform", "min": 16, "max": 64, "q": 16},
    },
    "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("searches")
    write_recipe(made, write_text(made))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(made / "cache"))
        read_sweep(made, write_json(SWEEP))
    return made


def describe(config: SearchConfig) -> object:
    return config.trial_count, config.to_dict(), config.load_base()


def read_file(folder: Path, data: bytes | None, scale: str | None) -> None:
    if data is not None:
        (folder / "mine.toml").write_bytes(data)
        accept_or_refuse(lambda: describe(SearchConfig.load(folder / "mine.toml", scale)))


def read_sweep(folder: Path, data: bytes) -> None:
    (folder / "mine.yaml").write_bytes(data)
    base = str(folder / "tiny.toml")
    accept_or_refuse(lambda: describe(read_search(folder / "mine.yaml", SearchOptions(base=base)).config))


def read_mutated(folder: Path, draw: Any, scale: str | None, changes: list[tuple[int, str, bytes]]) -> None:
    read_file(folder, write_toml(mutate(SEARCH, draw)), scale)
    read_file(folder, change(write_toml(SEARCH) or b"", changes), scale)
    read_sweep(folder, write_json(mutate(SWEEP, draw)))
    read_sweep(folder, change(yaml.safe_dump(SWEEP).encode(), changes))


@FEW
@given(data=st.data(), scale=st.sampled_from((None, "tiny")), changes=BYTES)
def test_search_files_and_sweeps(folder: Path, data: st.DataObject, scale: str | None, changes: list[tuple[int, str, bytes]]) -> None:
    read_mutated(folder, data.draw, scale, changes)


@pytest.mark.slow
@MANY
@given(data=st.data(), scale=st.sampled_from((None, "tiny")), changes=BYTES)
def test_many_search_files_and_sweeps(folder: Path, data: st.DataObject, scale: str | None, changes: list[tuple[int, str, bytes]]) -> None:
    read_mutated(folder, data.draw, scale, changes)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB, BOMB + "method: grid\nparameters: *j\n", f"method: grid\nparameters: {{model.depth: {{values: *j}}}}\n{BOMB}",
        BOMB + "method: grid\nparameters: {model.depth: {values: *j}}\n", BOMB + "method: *j\n", BOMB + "method: grid\nmetric: *j\n",
        "!!python/object/apply:os.system ['false']", "a: &a [*a]", "method: grid\nparameters: &p {model: {parameters: *p}}\n",
        "[" * 5000, "a: " + "9" * 5000, "{" * 5000, "- " * 5000, "? " * 3000, "\0", "\ufeffmethod: grid", "&a " * 3000, "2001-01-01: 1",
        "method: random\nparameters: {1: {value: 2}}", "method: random\nparameters: {null: {value: 2}}", "method: 2001-01-01", "<<: *x",
        "method: random\nrun_cap: 1099511627776\nparameters: {model.depth: {min: 1, max: 1099511627776}}",
        "method: grid\nparameters: {model.depth: {min: 1, max: 1099511627776}}",
    ],
    ids=range(24),
)  # fmt: skip
def test_sweeps_that_are_hardly_sweeps(folder: Path, text: str) -> None:
    read_sweep(folder, text.encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": 2**40}, {"trials": 10**18}, {"sampler": "grid", "space": {f"model.a{i}": list(range(1000)) for i in range(3)}},
        {"sampler": "grid", "space": {"model.depth": {"min": 1, "max": 10**9}, "model.width": {"min": 1, "max": 10**9}}},
        {"space": {"model.depth": {"min": 1, "max": 2**62}}}, {"space": {"optimizer.lr": {"min": 1e-320, "max": 1e300, "log": True}}},
        {"space": {"a..b": [1]}}, {"space": {"": [1]}}, {"space": {"größe": [1]}}, {"sampler_seed": 2**63 - 1}, {"seeds": [2**40]},
        {"space": {"model.depth": {"min": 1, "max": 5, "when": {"model.depth": 1}}}},
    ],
    ids=str,
)  # fmt: skip
def test_search_files_out_of_all_proportion(folder: Path, changes: dict[str, Any]) -> None:
    read_file(folder, write_toml({**SEARCH, **changes}), None)


def test_a_space_of_a_scale_that_is_no_table_is_refused(tmp_path: Path) -> None:
    for changes in ({"space": 3}, {"scales": {"tiny": {"space": 3}}}):
        with pytest.raises(ConfigError, match=r"^space"):
            SearchConfig.from_dict({**SEARCH, "scales": {"tiny": {}}, **changes}, tmp_path, "tiny")
