import tomllib

import pytest

from assay.core.recipe import to_toml
from support.kinds import Case
from support.properties import learning


@pytest.mark.property("config round trip")
def test_a_config_survives_its_file(case: Case) -> None:
    for config in (case.model, case.objective, case.leaf):
        tree = tomllib.loads(to_toml(config.to_dict()))
        again = type(config).make(tree)
        assert again == config
        assert again.digest() == config.digest()


@pytest.mark.property("weights round trip")
def test_weights_survive_their_state_dict(case: Case) -> None:
    learning.weights_round_trip(case)


@pytest.mark.property("seeds")
def test_weights_follow_from_their_seed_alone(case: Case) -> None:
    learning.seeds(case)
