"""The statistics of a comparison: intervals, paired differences, and how many seeds are enough.

Everything is about repetitions of training on one fixed test set: an interval says where the mean
over more seeds would lie, not what another test set would give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

__all__ = [
    "ALPHA",
    "POWER",
    "Difference",
    "Interval",
    "Summary",
    "holm",
    "paired_difference",
    "prediction_interval",
    "summarise",
    "wilson",
]

ALPHA = 0.05
POWER = 0.8

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """A mean over seeds with its 95 % interval; the interval is None for fewer than two seeds."""

    mean: float
    ci95: Interval | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """The paired difference of two variants over the seeds that both finished.

    Attributes:
        n: number of pairs.
        mean: mean of other - baseline.
        ci95: its 95 % interval (not corrected for the number of comparisons).
        p: p-value of the paired t-test, not corrected.
        seeds_needed: pairs with which a true difference of this mean and spread would be found with
            80 % power at the 5 % level; None if the mean is 0, as no number is then enough.
        resolvable: the smallest true difference that these ``n`` pairs would find with 80 % power.
    """

    n: int
    mean: float
    ci95: Interval
    p: float
    seeds_needed: int | None
    resolvable: float


def summarise(values: Sequence[float]) -> Summary | None:
    """Summarise one variant: mean and Student's 95 % interval; None if there are no values.

    Example:
        >>> summary = summarise([0.98, 0.99, 1.0])   # sd 0.01, t(2; 0.975) = 4.3027
        >>> f"{summary.mean:.2f} [{summary.ci95[0]:.4f}, {summary.ci95[1]:.4f}]"
        '0.99 [0.9652, 1.0148]'
    """
    if not values:
        return None
    mean = float(np.mean(values))
    return Summary(mean, _interval(values) if len(values) > 1 else None, tuple(values))


def prediction_interval(values: Sequence[float]) -> Interval | None:
    r"""Say where one more value would lie, 95 times out of 100; None for fewer than two values.

    $$ m \pm t_{n-1;\,0.975}\; s \sqrt{1 + 1/n} $$

    for values from one normal distribution, with mean m and standard deviation s of the n at hand.

    Example:
        >>> low, high = prediction_interval([0.98, 0.99, 1.0])   # s = 0.01, t = 4.3027
        >>> f"{low:.4f} {high:.4f}"                              # 0.99 -+ 0.043027 * 1.1547
        '0.9403 1.0397'

    Reference:
        Hahn, Meeker (1991), Statistical intervals: A guide for practitioners, Wiley.
    """
    n = len(values)
    if n < 2:
        return None
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    if deviation == 0:
        return mean, mean
    scale = deviation * math.sqrt(1 + 1 / n)
    low, high = stats.t.interval(1 - ALPHA, n - 1, loc=mean, scale=scale)
    return float(low), float(high)


def paired_difference(baseline: Sequence[float], other: Sequence[float]) -> Difference | None:
    """Compare two variants seed by seed; None for fewer than two pairs.

    Args:
        baseline: values of the first variant, one per seed.
        other: values of the other variant for the same seeds, in the same order.

    Example:
        >>> d = paired_difference([0.97, 0.98, 0.99], [0.98, 0.99, 1.01])
        >>> f"{d.mean:.4f} p={d.p:.3f}"            # 0.01, 0.01, 0.02: t = 4 with 2 d.f.
        '0.0133 p=0.057'
    """
    differences = np.subtract(other, baseline)
    n = len(differences)
    if n < 2:
        return None
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation <= 1e-12 * max(np.abs(differences).max(), 1e-300):
        # No spread at all: the t-test has 0 in its denominator. Equal is equal; other is other.
        exact = float(mean != 0)
        return Difference(n, mean, (mean, mean), 1.0 - exact, 2 if exact else None, 0.0)
    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return Difference(
        n,
        mean,
        _interval(differences),
        p,
        _seeds_needed(abs(mean) / deviation),
        deviation * float(TTestPower().solve_power(nobs=n, alpha=ALPHA, power=POWER)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method.

    Source:
        S. Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]   # 3*0.01, then 2*0.03 twice
        [0.03, 0.06, 0.06]
    """
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, alpha=ALPHA, method="holm")[1]]


def _interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    mean = float(np.mean(values))
    half = float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1) * stats.sem(values))
    return mean - half, mean + half


def _seeds_needed(effect: float) -> int | None:
    """Find the least number of pairs that has the power to see an effect (mean / deviation)."""
    if effect < 1e-6:
        return None
    test = TTestPower()
    # The solver is made for large samples and fails to converge on a handful: try those in turn.
    for n in range(2, 10):
        if test.power(effect, n, ALPHA) >= POWER:
            return n
    return math.ceil(float(test.solve_power(effect_size=effect, alpha=ALPHA, power=POWER)))


def wilson(hits: int, n: int) -> Interval | None:
    """Give Wilson's 95 % interval for a proportion: of a test set that is a sample of many.

    Args:
        hits: how many of them were right.
        n: out of how many; of none there is no interval.

    Reference:
        E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Example:
        >>> low, high = wilson(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    if n == 0:
        return None
    low, high = proportion_confint(hits, n, alpha=ALPHA, method="wilson")
    return float(low), float(high)
