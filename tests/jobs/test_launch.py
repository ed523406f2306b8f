"""The `[launch]` table: what a job asks of the cluster."""

from pathlib import Path

import pytest

from assay.core import recipe
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.jobs.launch import LaunchConfig


def test_an_absent_table_leaves_everything_to_the_cluster() -> None:
    config = LaunchConfig.from_table({})
    assert (config.partition, config.memory_gb, config.gpus, config.process_count) == (None, None, 0, 1)


def test_options_are_laid_over_the_table() -> None:
    config = LaunchConfig.from_table({"partition": "cpu", "hours": 2}, ["partition=gpu", 'setup=["module load cuda"]'])
    assert (config.partition, config.hours, config.setup) == ("gpu", 2.0, ("module load cuda",))


def test_a_job_has_one_process_for_each_gpu() -> None:
    assert LaunchConfig(gpus=4).process_count == 4
    assert LaunchConfig(processes=3).process_count == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("hour=3", r"^launch\.hour: unknown key; did you mean 'hours'\?$"),
        ("hours=0", r"^launch\.hours: input should be greater than 0"),
        ("extra={time=3}", r"^launch\.extra\.time: has a key of its own; set launch\.hours$"),
        ("extra={ntasks_per_node=3}", r"^launch\.extra\.ntasks_per_node: has a key of its own; set launch\.processes$"),
        ("extra={output=here}", r"^launch\.extra\.output: is set by Assay; leave it out$"),
        ("extra={exclusive=false}", r"^launch\.extra\.exclusive: an option of sbatch is there or is not; write true, or leave it out$"),
        ("hours=0.01", r"^launch\.notice: 120 seconds are the whole time of a job of 0\.01 hours; lower it, or raise hours$"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(change: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        LaunchConfig.from_table({}, [change])


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^launch\.processes: each process has one GPU, and 3 are not 2; leave processes out$"):
        LaunchConfig.from_table({"gpus": 2, "processes": 3})


def test_a_recipe_s_table_changes_nothing_about_the_experiment(tmp_path: Path) -> None:
    plain, sent = tmp_path / "plain.toml", tmp_path / "sent.toml"
    plain.write_text('extends = "bible"\n')
    sent.write_text('extends = "bible"\n[launch]\npartition = "gpu"\n[scales.small.launch]\nhours = 1\n')
    assert ExperimentConfig.load(str(sent)).digest() == ExperimentConfig.load(str(plain)).digest()
    assert recipe.load_launch(str(plain)) == {}
    assert recipe.load_launch(str(sent)) == {"partition": "gpu"}
    assert recipe.load_launch(str(sent), "small") == {"partition": "gpu", "hours": 1}


def test_the_page_about_clusters_tells_of_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    for name, field in LaunchConfig.model_fields.items():
        assert f"| `{name}` | {field.description} |" in page
