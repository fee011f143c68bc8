"""Colours of the variants: told apart by people with any colour vision, the same in every chart.

Source:
    M. Okabe, K. Ito (2008), Color Universal Design.
"""

from __future__ import annotations

from flexpool.lab.comparison import Comparison

__all__ = ["colours"]

_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def colours(comparison: Comparison) -> dict[str, str]:
    """Give each variant its colour; beyond seven they repeat."""
    names = [variant.name for variant in comparison.recipe.variants]
    return {name: _OKABE_ITO[i % len(_OKABE_ITO)] for i, name in enumerate(names)}
