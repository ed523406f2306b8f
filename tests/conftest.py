"""One thread and one order of examples: the same run of the tests gives the same result on any machine."""

import os
import shutil

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "property(name): a property that a kind may decline with `property_exemptions`")
    torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has to be compiled is no part of the inner loop, and is skipped where nothing can compile it."""
    compiler = any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))
    for item in items:
        if item.get_closest_marker("inductor") is not None:
            item.add_marker("slow")
            if not compiler:
                item.add_marker(pytest.mark.skip(reason="there is no C++ compiler here; install g++"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same default generator."""
    torch.manual_seed(0)
