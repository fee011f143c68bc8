"""All window arithmetic of pooling: sizes, positions, divisors, receptive fields, argument checks.

A :class:`Window` slides over the input with a stride, an :class:`AdaptiveWindow` divides the input
into a given number of parts. Both are checked when they are made, know nothing of any input, can be
compared and hashed, and share two methods: ``output_shape(sizes)`` and ``place(sizes)``. The latter
gives one :class:`Placement` per dimension, which says where each window lies in an input of these
sizes. Nothing here touches the values of an array.
"""

from __future__ import annotations

from flexpool.window.adaptive import AdaptiveWindow, adaptive_window, global_window
from flexpool.window.counts import divisors, element_counts, padded_counts
from flexpool.window.placement import Placement
from flexpool.window.receptive import ReceptiveField, receptive_fields
from flexpool.window.sliding import Window, window

__all__ = [
    "AdaptiveWindow",
    "Placement",
    "ReceptiveField",
    "Window",
    "adaptive_window",
    "divisors",
    "element_counts",
    "global_window",
    "padded_counts",
    "receptive_fields",
    "window",
]
