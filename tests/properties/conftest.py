"""A test that asks for a `case` runs on every kind that can break its property; a kind that declines it is a strict expected failure.

What the inner loop leaves out is marked `slow`.
"""

from typing import Any

import pytest

from properties.chosen import has_changed, is_one_of_few
from properties.deviations import deviations
from properties.relevant import is_relevant
from support.kinds import CASES, PLAIN, VARIATIONS, Case, Variation


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    values = {"case": CASES, "plain_case": PLAIN, "variation": VARIATIONS}
    for name in values.keys() & set(metafunc.fixturenames):
        marker = metafunc.definition.get_closest_marker("property")
        assert marker is not None, f"{metafunc.definition.nodeid} names no property"
        relevant = [value for value in values[name] if is_relevant(marker.args[0], _case(value))]
        metafunc.parametrize(name, [_parameter(value, marker.args[0]) for value in relevant], indirect=True)


def _parameter(value: Case | Variation, law: str) -> Any:
    case = _case(value)
    inner = has_changed(type(case.leaf)) or (is_one_of_few(type(case.leaf), law) and not case.label)
    return pytest.param(value, id=str(value), marks=() if inner else pytest.mark.slow)


def _case(value: Case | Variation) -> Case:
    return value.base if isinstance(value, Variation) else value


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    return _declined(request, request.param, request.param)


@pytest.fixture
def plain_case(request: pytest.FixtureRequest) -> Case:
    return _declined(request, request.param, request.param)


@pytest.fixture
def variation(request: pytest.FixtureRequest) -> Variation:
    _declined(request, request.param.base, request.param.path)
    return request.param  # type: ignore[no-any-return]


def _declined(request: pytest.FixtureRequest, case: Case, name: object) -> Case:
    marker = request.node.get_closest_marker("property")
    if marker is not None:
        names = {marker.args[0], f"{marker.args[0]}: {name}"}  # "settings bite: window" declines for one field
        reasons = [reason for declined, reason in deviations(case).items() if declined in names]
        if reasons:
            request.applymarker(pytest.mark.xfail(reason="; ".join(reasons), strict=True, raises=AssertionError))
    return case
