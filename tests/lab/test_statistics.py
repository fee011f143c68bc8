"""Statistics: against SciPy's other routes, by hand, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from flexpool.lab.statistics import holm, paired_difference, summarise


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_the_interval_is_students(rng):
    values = rng.normal(0.98, 0.01, 6)
    low, high = summarise(list(values)).ci95
    expected = stats.t.interval(0.95, 5, values.mean(), values.std(ddof=1) / 6**0.5)
    np.testing.assert_allclose((low, high), expected, rtol=1e-12)


def test_nothing_to_summarise_and_one_value():
    assert summarise([]) is None
    assert summarise([0.9]).ci95 is None
    assert paired_difference([0.9], [0.8]) is None


def test_the_paired_test_is_scipys(rng):
    baseline, other = rng.normal(size=8), rng.normal(size=8)
    found = paired_difference(list(baseline), list(other))
    expected = stats.ttest_rel(other, baseline)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    np.testing.assert_allclose(found.ci95, (interval.low, interval.high), rtol=1e-9)
    assert found.mean == pytest.approx((other - baseline).mean())


def test_equal_variants_do_not_differ():
    found = paired_difference([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (found.mean, found.ci95, found.p, found.seeds_needed) == (0.0, (0.0, 0.0), 1.0, None)


def test_the_same_difference_every_time_is_a_difference():
    found = paired_difference([0.5, 0.25, 0.75], [0.625, 0.375, 0.875])
    assert (found.mean, found.p, found.seeds_needed) == (0.125, 0.0, 2)


def test_holm_by_hand():
    # Sorted: 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1, each at least the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_intervals_cover_the_truth_as_often_as_they_say(rng):
    draws = rng.normal(1.0, 2.0, size=(2000, 5))
    hits = sum(low <= 1.0 <= high for low, high in (summarise(list(d)).ci95 for d in draws))
    assert 0.93 < hits / 2000 < 0.97


def test_the_seeds_needed_do_show_the_difference_four_times_out_of_five(rng):
    # Differences with mean 1 and deviation 1 exactly, so that the estimate is of the truth.
    sample = rng.normal(size=9)
    sample = 1.0 + (sample - sample.mean()) / sample.std(ddof=1)
    needed = paired_difference([0.0] * 9, list(sample)).seeds_needed
    trials = rng.normal(1.0, 1.0, size=(4000, needed))
    power = (stats.ttest_1samp(trials, 0.0, axis=1).pvalue < 0.05).mean()
    fewer = (stats.ttest_1samp(trials[:, 1:], 0.0, axis=1).pvalue < 0.05).mean()
    assert fewer < 0.8 <= power + 0.02
    assert power < 0.9


def test_what_can_be_resolved_is_shown_four_times_out_of_five(rng):
    sample = rng.normal(0.0, 3.0, size=6)
    found = paired_difference([0.0] * 6, list(sample))
    trials = rng.normal(found.resolvable, sample.std(ddof=1), size=(4000, 6))
    power = (stats.ttest_1samp(trials, 0.0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.03)


def power(effect, n):
    """Power of the two-sided t-test, from the noncentral t distribution."""
    critical = stats.t.ppf(0.975, n - 1)
    noncentral = stats.nct(n - 1, effect * n**0.5)
    return noncentral.sf(critical) + noncentral.cdf(-critical)


@pytest.mark.parametrize("effect", [0.3, 0.9, 2.0, 4.0, 15.0])
def test_seeds_needed_is_the_least_number_with_the_power(effect):
    sample = np.array([-1.0, 0.0, 1.0]) + effect
    needed = paired_difference([0.0] * 3, list(sample)).seeds_needed
    assert power(effect, needed) >= 0.8
    assert needed == 2 or power(effect, needed - 1) < 0.8


def test_no_number_of_seeds_shows_no_difference():
    assert paired_difference([0.0] * 3, [-1.0, 0.0, 1.0]).seeds_needed is None
