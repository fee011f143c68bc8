"""Published figures: what others measured with the settings of a recipe, and where they said so."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flexpool.errors import ArgumentError, expected, unknown
from flexpool.lab.options import check_int, check_number

__all__ = ["MEASURES", "Published"]

MEASURES = {
    "accuracy": "test accuracy",
    "top2": "test accuracy, top 2",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
}


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        variant: whose it is, as ``net`` or ``net/downsampling``.
        measure: one of ``MEASURES``.
        value: the number as it was printed, so that its last digit says how far it was rounded.
        source: who published it.
        epoch: the epoch after which it was measured; None: the last one.
        times: what to multiply it with to have our measure; 1 unless it was counted otherwise.
        note: what has to be known about it, or nothing.

    Raises:
        ArgumentError: if a value lies outside its domain.

    Example:
        >>> figure = Published("lenet5", "accuracy", "0.90", "a tutorial")
        >>> figure.low, figure.high      # what is rounded to 0.90
        (0.895, 0.905)
    """

    variant: str
    measure: str
    value: str
    source: str
    epoch: int | None = None
    times: float = 1.0
    note: str = ""

    def __post_init__(self) -> None:
        for field in ("variant", "measure", "value", "source", "note"):
            if not isinstance(getattr(self, field), str):
                raise ArgumentError(expected(field, "to be a string", getattr(self, field)))
        if self.measure not in MEASURES:
            raise unknown("measure", self.measure, MEASURES)
        whole, _, decimals = self.value.partition(".")
        if not (whole.isdecimal() and (decimals.isdecimal() or not decimals)):
            rule = "to be a number as it was printed, in quotes"
            raise ArgumentError(expected("value", rule, self.value, 'Write value = "0.90".'))
        if self.epoch is not None:
            check_int("epoch", self.epoch)
        check_number("times", self.times, "> 0", math.ulp(0.0), math.inf)

    @classmethod
    def read(cls, entry: object) -> Published:
        """Take one of these as it is, or make it from a table of a recipe file.

        Raises:
            ArgumentError: if it is neither, a key is missing or unknown, or a value is refused.
        """
        if isinstance(entry, cls):
            return entry
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(entry, Mapping):
            raise ArgumentError(expected("published", "to be a list of tables", entry))
        for key in entry:
            if key not in fields:
                raise unknown("key of published", str(key), fields)
        for name, field in fields.items():
            if field.default is dataclasses.MISSING and name not in entry:
                raise ArgumentError(expected("published", f"to say its {name}", dict(entry)))
        values: dict[str, Any] = dict(entry)
        return cls(**values)

    @property
    def printed(self) -> str:
        """The number in our measure, with as many digits as were printed where none were added."""
        return self.value if self.times == 1 else f"{self.times * float(self.value):.4f}"

    @property
    def low(self) -> float:
        """The least number that is printed like this."""
        return self.times * round(float(self.value) - self._half_a_digit, 12)

    @property
    def high(self) -> float:
        """The largest number that is printed like this."""
        return self.times * round(float(self.value) + self._half_a_digit, 12)

    @property
    def _half_a_digit(self) -> float:
        return 0.5 * 10.0 ** -len(self.value.partition(".")[2])
