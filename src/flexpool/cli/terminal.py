"""What all commands share: where they print, and how they report errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer
from rich.console import Console
from rich.syntax import Syntax

from flexpool.errors import FlexpoolError

__all__ = ["BAD_INPUT", "WIDE", "page", "print_python", "reported"]

BAD_INPUT = 2
INTERRUPTED = 130

WIDE = 150  # columns; what is printed into a file or a pipe has no edge

P = ParamSpec("P")


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn flexpool's errors and Ctrl-C into one line on standard error and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except FlexpoolError as error:
            _complain(f"Error: {error}")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as interrupt:
            _complain(str(interrupt) or "Interrupted.")
            raise typer.Exit(INTERRUPTED) from None

    return wrapper


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(message, markup=False, style="red")


def page() -> Console:
    """Make a console as wide as the terminal; wide where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def print_python(source: str, indent: int = 0) -> None:
    """Print Python source unwrapped, coloured on a terminal, as it is anywhere else."""
    console = Console(soft_wrap=True)
    highlighted = Syntax("", "python", theme="ansi_dark").highlight(source.rstrip("\n"))
    for line in highlighted.split("\n"):
        line.pad_left(indent if line else 0)
        console.print(line)
