"""The errors flexpool raises, and the one way their messages are worded.

Every message reads ``Name: expected ARGUMENT RULE, got VALUE. What to do instead.`` The part after
the colon is written where the rule is known; the name in front is added once, by :func:`called`, at
the public call. So no inner function has to know on whose behalf it checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ArgumentError",
    "BackendUnavailable",
    "DataError",
    "DtypeError",
    "ExportError",
    "FlexpoolError",
    "ShapeError",
    "StorageError",
    "TraceError",
    "called",
    "expected",
    "unknown",
]


class FlexpoolError(Exception):
    """The base of all errors that flexpool raises on purpose.

    Attributes:
        named: whether the message begins with the name of the call it is about.
    """

    named = False


class ArgumentError(FlexpoolError, ValueError):
    """An argument lies outside its documented domain."""


class ShapeError(FlexpoolError, ValueError):
    """An array has a shape that the call cannot work on."""


class DtypeError(FlexpoolError, TypeError):
    """An array has a type of number that the call cannot work on, or is no array at all."""


class TraceError(FlexpoolError, TypeError):
    """A formula does something that cannot be written down as a graph."""


class BackendUnavailable(FlexpoolError, RuntimeError):  # noqa: N818 - says what is the matter
    """A backend that was asked for by name cannot run here."""


class DataError(FlexpoolError):
    """A data file is missing, damaged or not the file it should be."""


class StorageError(FlexpoolError):
    """A result could not be written or read: no room, no permission, not a folder."""


class ExportError(FlexpoolError, RuntimeError):
    """A net cannot be written in another format, or gives other results there."""


def expected(argument: str, rule: str, got: object, instead: str = "") -> str:
    """Word a complaint about one argument.

    Args:
        argument: name of the argument, as the user typed it.
        rule: what was expected of it, e.g. ``"to be an int > 0"``.
        got: the value that was given; shown by ``repr``.
        instead: what to do instead, a full sentence, or nothing.

    Example:
        >>> expected("p", "to be a number > 0", -1, "Use p=2 for the Euclidean norm.")
        'expected p to be a number > 0, got -1. Use p=2 for the Euclidean norm.'
    """
    return f"expected {argument} {rule}, got {got!r}. {instead}".rstrip()


def unknown(kind: str, name: str, known: Iterable[str]) -> ArgumentError:
    """Build the error for a name that is not registered: the nearest name, then all of them.

    Example:
        >>> print(unknown("net", "lenet", ["lenet5", "nin"]))
        unknown net 'lenet'. Did you mean 'lenet5'? Known: lenet5, nin.
    """
    names = list(known)
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ArgumentError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")


class called:  # noqa: N801 - read as a word: with called("pool")
    """Put the public name in front of every flexpool error raised inside the block, once.

    Where public calls call one another, the innermost is the one that is named.

    Example:
        >>> with called("compare"), called("LpPool2d"):
        ...     raise ArgumentError(expected("p", "to be a number > 0", -1))
        Traceback (most recent call last):
        ...
        flexpool.errors.ArgumentError: LpPool2d: expected p to be a number > 0, got -1.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the block."""
        if isinstance(error, FlexpoolError) and not error.named:
            named = type(error)(f"{self.name}: {error}")
            named.named = True
            raise named from error.__cause__
