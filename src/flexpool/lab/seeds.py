"""Seeds: which random stream belongs to what.

Every stream is named by the repetition's seed and by what it is for. Neither the net's other layers
nor the downsampling enter the name, so two variants with the same seed see the same images in the
same order, and layers that both of them have start from the same values: comparisons are paired.
"""

from __future__ import annotations

import hashlib

__all__ = ["derive"]


def derive(seed: int, *names: str | int) -> int:
    """Derive the seed of one named random stream.

    Args:
        seed: the repetition's seed, an int >= 0.
        names: what the stream is for, e.g. ``"order", 3`` for the image order of epoch 3.

    Returns:
        An int in [0, 2**63), the same on every machine.

    Example:
        >>> derive(0, "order", 1) == derive(0, "order", 1)
        True
        >>> derive(0, "order", 1) == derive(0, "order", 2)
        False
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
