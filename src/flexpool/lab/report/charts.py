"""The interactive charts of the report, drawn by plotly in the browser."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from flexpool.lab.comparison import Comparison
from flexpool.lab.report.marks import colours, spread
from flexpool.lab.statistics import Interval

__all__ = ["charts"]


def charts(comparison: Comparison) -> dict[str, str]:
    """Return each chart as an HTML fragment that needs plotly.js on the page, by its heading."""
    figures = {
        "Accuracy, with intervals": _accuracy(comparison),
        "Difference to the first variant": _differences(comparison),
        "Accuracy by epoch": _curves(comparison, "test_accuracy", "test accuracy", 100.0),
        "Training loss by epoch": _curves(comparison, "train_loss", "training loss", 1.0),
        "Parameters against accuracy": _parameters(comparison),
    }
    return {
        heading: figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"chart-{number}",
            config={"displaylogo": False, "responsive": True},
        )
        for number, (heading, figure) in enumerate(figures.items())
    }


def _figure(height: int, **layout: Any) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        font={"family": "system-ui, sans-serif", "size": 13},
        **layout,
    )
    figure.update_yaxes(automargin=True)
    return figure


def _row_height(rows: int) -> int:
    return 110 + 42 * rows


def _mark(
    figure: go.Figure, name: str, colour: str, mean: float, interval: Interval, hover: str
) -> None:
    """Draw a mean and its interval in the row of a variant; all in percent."""
    low, high = interval
    figure.add_scatter(
        x=[mean],
        y=[name],
        mode="markers",
        marker={"color": colour, "symbol": "diamond", "size": 11},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - mean],
            "arrayminus": [mean - low],
            "thickness": 3,
            "width": 6,
        },
        hovertemplate=f"{hover}, interval {low:.3f} to {high:.3f}<extra>{name}</extra>",
    )


def _percent(interval: Interval) -> Interval:
    return 100 * interval[0], 100 * interval[1]


def _accuracy(comparison: Comparison) -> go.Figure:
    figure = _figure(_row_height(len(comparison.variants)), showlegend=False)
    palette = colours(comparison)
    for result in comparison.variants:
        name, summary = result.variant.name, result.accuracy
        if summary is None:
            continue
        figure.add_scatter(
            x=[100 * value for value in summary.values],
            y=[name] * len(summary.values),
            mode="markers",
            marker={"color": palette[name], "opacity": 0.3, "size": 8},
            hovertemplate="%{x:.2f} %<extra>one seed</extra>",
        )
        interval = summary.ci95 or (summary.mean, summary.mean)
        _mark(
            figure,
            name,
            palette[name],
            100 * summary.mean,
            _percent(interval),
            "mean %{x:.3f} %",
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="test accuracy, %")
    return figure


def _differences(comparison: Comparison) -> go.Figure:
    first, *others = comparison.variants
    figure = _figure(_row_height(len(others)), showlegend=False)
    palette = colours(comparison)
    for result in others:
        name, difference = result.variant.name, result.difference
        if difference is None:
            continue
        _mark(
            figure,
            name,
            palette[name],
            100 * difference.mean,
            _percent(difference.ci95),
            f"%{{x:.3f}} points, Holm-corrected p = {result.p:.2g}",
        )
    figure.add_vline(x=0, line={"color": "#555", "width": 1})
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=f"test accuracy minus {first.variant.name}, points, paired by seed")
    return figure


def _curves(comparison: Comparison, column: str, title: str, factor: float) -> go.Figure:
    figure = _figure(420, hovermode="x unified")
    palette = colours(comparison)
    curves = comparison.curves
    for name in [] if curves.empty else curves["name"].unique():
        rows = curves[curves["name"] == name]
        by_epoch = factor * rows.groupby("epoch")[column].agg(["mean", "min", "max"])
        epochs = list(by_epoch.index)
        figure.add_scatter(
            x=epochs + epochs[::-1],
            y=[*by_epoch["max"], *by_epoch["min"][::-1]],
            fill="toself",
            fillcolor=palette[name],
            opacity=0.12,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
        figure.add_scatter(
            x=epochs,
            y=list(by_epoch["mean"]),
            mode="lines+markers" if len(epochs) == 1 else "lines",
            line={"color": palette[name], "width": 2},
            name=name,
            legendgroup=name,
        )
    unit = ", %" if factor == 100 else ""
    # Whole epochs only: there is nothing to read off between them.
    figure.update_xaxes(title="epoch", tickformat="d", dtick=max(1, comparison.recipe.epochs // 10))
    figure.update_yaxes(title=f"{title}{unit} (mean and range of seeds)")
    return figure


def _parameters(comparison: Comparison) -> go.Figure:
    figure = _figure(420)
    palette, places = colours(comparison), spread(comparison)
    for result in comparison.variants:
        name, summary = result.variant.name, result.accuracy
        if summary is None:
            continue
        low, high = summary.ci95 or (summary.mean, summary.mean)
        figure.add_scatter(
            x=[places[name]],
            y=[100 * summary.mean],
            mode="markers",
            name=name,
            marker={"color": palette[name], "symbol": "diamond", "size": 12},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * (high - summary.mean)],
                "arrayminus": [100 * (summary.mean - low)],
            },
            hovertemplate=f"{result.params:,} parameters, %{{y:.3f}} %"
            f"<br>{result.macs:,} multiply-adds an image<extra>{name}</extra>",
        )
    figure.update_xaxes(title="parameters (equal ones side by side)", tickformat=",")
    figure.update_yaxes(title="test accuracy, %, with 95 % interval")
    return figure
