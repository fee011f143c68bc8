"""How a variant is drawn, the same in every chart: its colour, and where it stands."""

from __future__ import annotations

from flexpool.lab.comparison import Comparison

__all__ = ["colours", "spread"]

# Told apart by people with any colour vision: M. Okabe, K. Ito (2008), Color Universal Design.
_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def colours(comparison: Comparison) -> dict[str, str]:
    """Give each variant its colour; beyond seven they repeat."""
    names = [variant.name for variant in comparison.recipe.variants]
    return {name: _OKABE_ITO[i % len(_OKABE_ITO)] for i, name in enumerate(names)}


def spread(comparison: Comparison) -> dict[str, float]:
    """Place each variant at its number of parameters, side by side where that is the same.

    Only then can the intervals of nets of equal size be seen.
    """
    sizes = {r.variant.name: r.params for r in comparison.variants if r.params is not None}
    step = 0.015 * ((max(sizes.values()) - min(sizes.values())) or 1) if sizes else 0.0
    places = {}
    for name, size in sizes.items():
        equal = [other for other in sizes if sizes[other] == size]
        places[name] = size + step * (equal.index(name) - (len(equal) - 1) / 2)
    return places
