"""Student's t: tables of its distribution and its quantiles."""

import math
from statistics import NormalDist

import pytest

from assay.statistics.interval import t_quantile, t_two_sided


@pytest.mark.parametrize(("freedom", "point"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)])
def test_the_97_and_a_half_percent_points_are_those_of_the_tables(freedom: int, point: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(point, abs=5e-5)


@pytest.mark.parametrize("t", [0.0, 1e-6, 0.3, 1.0, 4.0, 50.0])
def test_one_and_two_degrees_of_freedom_have_closed_forms(t: float) -> None:
    assert t_two_sided(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=1e-10)
    assert t_two_sided(-t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-10)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    normal = NormalDist().inv_cdf(0.975)
    assert t_quantile(0.975, 1e6) == pytest.approx(normal, abs=1e-9)
    assert t_quantile(0.975, 9e4) == pytest.approx(normal, abs=5e-5)
    assert t_two_sided(3.0, 9e4) == pytest.approx(2 * NormalDist().cdf(-3.0), rel=1e-3)


@pytest.mark.parametrize("freedom", [0.7, 1.5, 6.42, 300.0])
def test_the_quantile_undoes_the_tail_for_any_degrees_of_freedom(freedom: float) -> None:
    for share in (0.5, 0.8, 0.975, 0.9999):
        assert t_two_sided(t_quantile(share, freedom), freedom) / 2 == pytest.approx(1 - share, rel=1e-8)


def test_an_infinite_t_has_no_tail() -> None:
    assert t_two_sided(math.inf, 3) == 0.0
    assert t_two_sided(0.0, 3) == 1.0
