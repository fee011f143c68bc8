"""What a trained net takes and gives: without it, its weights cannot be used."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from flexpool.errors import ArgumentError, expected
from flexpool.lab.options import check_int

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs:
    """What stands between pictures and a net, and between the net's outputs and classes.

    A pixel p of 0 to 255 reaches the net as (p - offset) · scale.

    Args:
        image: channels, height and width of an input, after resizing: ints > 0.
        classes: the name of each output.
        offset: subtracted from each pixel, a finite number.
        scale: then multiplied with it, a finite number.

    Raises:
        ArgumentError: if a value lies outside its domain.

    Example:
        >>> inputs = Inputs((1, 28, 28), ("cat", "dog"), offset=127.5, scale=1 / 127.5)
        >>> Inputs.from_json(inputs.to_json()) == inputs
        True
    """

    image: tuple[int, int, int]
    classes: tuple[str, ...]
    offset: float
    scale: float

    def __post_init__(self) -> None:
        for name, kind in (("image", int), ("classes", str)):
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not all(isinstance(v, kind) for v in given):
                raise ArgumentError(expected(name, f"to be a list of {kind.__name__}", given))
            object.__setattr__(self, name, tuple(given))  # JSON has lists
        if len(self.image) != 3:
            rule = "to be channels, height and width"
            raise ArgumentError(expected("image", rule, self.image))
        for size in self.image:
            check_int("image", size)
        if not self.classes:
            raise ArgumentError(expected("classes", "to name at least one", self.classes))
        for name in ("offset", "scale"):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise ArgumentError(expected(name, "to be a number", given))
            if not math.isfinite(given):
                raise ArgumentError(expected(name, "to be a finite number", given))

    def to_json(self) -> str:
        """Write it as JSON.

        Example:
            >>> print(Inputs((1, 2, 2), ("a",), 0.0, 1.0).to_json())
            {
              "image": [
                1,
                2,
                2
              ],
              "classes": [
                "a"
              ],
              "offset": 0.0,
              "scale": 1.0
            }
        """
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Inputs:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError, TypeError: if it is not that.
        """
        return cls(**json.loads(text))
