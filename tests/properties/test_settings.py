import pytest

from support.kinds import Variation
from support.properties import learning


@pytest.mark.property("settings bite")
def test_another_value_of_a_setting_changes_what_it_declares(variation: Variation) -> None:
    learning.settings_bite(variation)
