"""The pictures of a comparison, as PNG files for a README or a paper."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flexpool.lab.comparison import Comparison
from flexpool.lab.report.marks import colours, spread

__all__ = ["draw"]


def draw(comparison: Comparison) -> dict[str, bytes]:
    """Draw all pictures; returns PNG contents by file name."""
    rows = max(2.2, 0.6 + 0.42 * len(comparison.variants))
    return {
        "accuracy.png": _picture(_accuracy, comparison, height=rows),
        "differences.png": _picture(_differences, comparison, height=rows),
        "curves.png": _picture(_curves, comparison, height=4.2),
        "parameters.png": _picture(_parameters, comparison, height=4.2),
    }


def _picture(
    chart: Callable[[Axes, Comparison], None], comparison: Comparison, height: float
) -> bytes:
    figure = Figure(figsize=(8.0, height), layout="constrained")
    axes = figure.add_subplot()
    chart(axes, comparison)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def _accuracy(axes: Axes, comparison: Comparison) -> None:
    """Accuracy of every seed, with mean and interval, a row per variant."""
    palette = colours(comparison)
    for row, result in enumerate(comparison.variants):
        colour, summary = palette[result.variant.name], result.accuracy
        if summary is None:
            continue
        values = [100 * value for value in summary.values]
        axes.plot(values, [row] * len(values), "o", color=colour, alpha=0.25, markersize=5)
        if summary.ci95:
            axes.plot([100 * end for end in summary.ci95], [row, row], color=colour, linewidth=2.5)
        axes.plot(100 * summary.mean, row, "D", color=colour, markersize=7)
    _name_rows(axes, [result.variant.name for result in comparison.variants])
    seeds = comparison.recipe.seeds
    axes.set_xlabel(f"test accuracy, % (mean, 95 % interval over {seeds} seeds, single seeds)")


def _differences(axes: Axes, comparison: Comparison) -> None:
    """Paired difference to the first variant, with its interval, a row per other variant."""
    palette = colours(comparison)
    first, *others = comparison.variants
    for row, result in enumerate(others):
        if result.difference is None:
            continue
        colour = palette[result.variant.name]
        ends = [100 * end for end in result.difference.ci95]
        axes.plot(ends, [row, row], color=colour, linewidth=2.5)
        axes.plot(100 * result.difference.mean, row, "D", color=colour, markersize=7)
        axes.annotate(
            f"p = {result.p:.2g}" + (" *" if result.differs else ""),
            (100 * result.difference.mean, row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.axvline(0, color="0.3", linewidth=1)
    _name_rows(axes, [result.variant.name for result in others])
    axes.set_xlabel(
        f"test accuracy minus {first.variant.name}, points "
        "(paired by seed, 95 % interval; p Holm-corrected)"
    )


def _curves(axes: Axes, comparison: Comparison) -> None:
    """Test accuracy by epoch: mean over seeds, and the range of the seeds as a band."""
    palette, curves = colours(comparison), comparison.curves
    for name in [] if curves.empty else curves["name"].unique():
        by_epoch = curves[curves["name"] == name].groupby("epoch")["test_accuracy"]
        curve = 100 * by_epoch.agg(["mean", "min", "max"])
        colour = palette[name]
        axes.plot(curve.index, curve["mean"], color=colour, label=name, linewidth=1.8)
        axes.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("test accuracy, % (mean and range of seeds)")
    if axes.lines:
        axes.legend(fontsize=8, frameon=False, loc="lower right")


def _parameters(axes: Axes, comparison: Comparison) -> None:
    """Accuracy against the number of parameters."""
    palette, places = colours(comparison), spread(comparison)
    for result in comparison.variants:
        if result.accuracy is None:
            continue
        low, high = result.accuracy.ci95 or (result.accuracy.mean, result.accuracy.mean)
        mean = result.accuracy.mean
        axes.errorbar(
            places[result.variant.name] / 1000,
            100 * mean,
            yerr=[[100 * (mean - low)], [100 * (high - mean)]],
            fmt="D",
            color=palette[result.variant.name],
            capsize=3,
            label=result.variant.name,
        )
    axes.set_xlabel("parameters, thousands (equal ones side by side)")
    axes.set_ylabel("test accuracy, % (mean, 95 % interval)")
    if axes.containers:
        axes.legend(fontsize=8, frameon=False, loc="best")


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.7)
