"""A test that asks for a `case` runs on every kind; a kind that declines its property is a strict expected failure."""

import pytest

from properties.deviations import deviations
from support.kinds import CASES, PLAIN, VARIATIONS, Case, Variation


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, values in {"case": CASES, "plain_case": PLAIN, "variation": VARIATIONS}.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=str, indirect=True)


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
