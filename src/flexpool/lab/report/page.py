"""The HTML page: the template filled with a comparison. Everything it needs is inside it."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from flexpool.lab.comparison import Comparison
from flexpool.lab.report.charts import charts
from flexpool.lab.report.rows import HEADINGS, rows

__all__ = ["render"]


def render(comparison: Comparison, portraits: Mapping[str, bytes]) -> str:
    """Return the page as one string: charts, their script, pictures and all texts.

    Args:
        comparison: what to show.
        portraits: PNG files of single nets, by what to call each.
    """
    environment = Environment(
        loader=PackageLoader("flexpool.lab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=comparison.recipe.title,
        verdict=comparison.verdict,
        headings=HEADINGS,
        rows=rows(comparison),
        charts={heading: Markup(chart) for heading, chart in charts(comparison).items()},
        portraits={name: base64.b64encode(png).decode() for name, png in portraits.items()},
        plotly=Markup(get_plotlyjs()),
        comparison=comparison.to_dict(),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
