"""The table of a comparison in words: the same rows in the terminal and in the report."""

from __future__ import annotations

from flexpool.lab.comparison import Comparison, VariantResult
from flexpool.lab.statistics import Summary

__all__ = ["HEADINGS", "NARROW", "rows"]

HEADINGS = (
    "variant",
    "params",
    "multiply-adds",
    "seeds",
    "accuracy, %",
    "top 2, %",
    "s/epoch",
    "difference, points",
    "p (Holm)",
    "seeds needed",
)

# What fits a terminal of 80 columns.
NARROW = ("variant", "params", "accuracy, %", "difference, points", "p (Holm)")


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return one row of text per variant, in the order of ``HEADINGS``.

    A mean never stands without its interval: with a single seed the row says so.
    """
    return [_row(result) for result in comparison.variants]


def _row(result: VariantResult) -> tuple[str, ...]:
    seconds, difference = result.train_seconds_per_epoch, result.difference
    seeds = f"{result.n} ({result.failed} failed)" if result.failed else str(result.n)
    return (
        result.variant.name,
        _count(result.params),
        _count(result.macs),
        seeds,
        _interval(result.accuracy),
        _interval(result.top2),
        "" if seconds is None else f"{seconds:.3g}",
        _difference(result),
        "" if result.p is None else f"{result.p:.2g}{' *' if result.differs else ''}",
        _seeds_needed(result) if difference else "",
    )


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _interval(summary: Summary | None) -> str:
    if summary is None:
        return "no run finished"
    if summary.ci95 is None:
        return f"{100 * summary.mean:.2f} (one seed, no interval)"
    half = 100 * (summary.ci95[1] - summary.mean)
    return f"{100 * summary.mean:.2f} ± {half:.2f}"


def _difference(result: VariantResult) -> str:
    if result.difference is None:
        return ""
    low, high = result.difference.ci95
    return f"{100 * result.difference.mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _seeds_needed(result: VariantResult) -> str:
    needed = result.difference.seeds_needed if result.difference else None
    if needed is None:
        return "no number"
    return f"{needed:,}" if needed <= 10_000 else "> 10,000"
