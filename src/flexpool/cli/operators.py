"""The commands that tell about operators: ``list`` and ``show``."""

from __future__ import annotations

import inspect
import itertools
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flexpool.cli.describe import (
    KINDS,
    LAWS,
    calls_of,
    default_of,
    entries,
    formula_of,
    in_brief,
    is_random,
    is_required,
    plainly,
    sections,
)
from flexpool.cli.terminal import page, print_python, reported
from flexpool.errors import called, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from flexpool.declare import Operator
    from flexpool.nn.block import Block

__all__ = ["list_operators", "show"]

TITLES = {
    "Note": "Note",
    "Use": "When to use it",
    "Disagreement": "What others do otherwise",
}

READABLE = 100  # columns of prose
LONGEST = 100  # columns of a docstring's first line
PARAMETERS = 24

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@reported
def list_operators(as_json: AsJson = False) -> None:
    """List the pooling operators, and the blocks made of more than a window, by family."""
    from flexpool.declare import operators
    from flexpool.nn.block import blocks

    known: list[Operator | Block] = [*operators().values(), *blocks().values()]
    known.sort(key=lambda entry: (entry.family, entry.name))
    if as_json:
        print(json.dumps([_record(entry) for entry in known], indent=2))
        return
    console = page()
    width = max(len(entry.name) for entry in known)
    for family, members in itertools.groupby(known, key=lambda entry: entry.family):
        console.print(Text(f"\n{family}", style="bold"))
        table = Table(box=None, padding=(0, 0, 0, 2), show_header=False)
        table.add_column(width=width, style="cyan")
        table.add_column(width=min(LONGEST, console.width - width - PARAMETERS - 6))
        table.add_column(width=PARAMETERS, style="dim", overflow="fold")
        for entry in members:
            table.add_row(entry.name, Text(entry.summary), Text(_beside(entry)))
        console.print(table)
    console.print(
        "\nAll take NumPy arrays and PyTorch tensors, with windows in any number of dimensions,\n"
        "and run on CPU (Numba), GPU (Triton) and wherever else PyTorch does; those with a class\n"
        "of flexpool.nn beside them take tensors only. More about one: flexpool show NAME",
        style="dim",
    )


def _beside(entry: Operator | Block) -> str:
    """Say what an operator takes, or which class a block is."""
    from flexpool.declare import Operator

    if isinstance(entry, Operator):
        return "\n".join(in_brief(n, a) for n, a in entry.arguments.items())
    return f"nn.{entry.module.__name__}"


@reported
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator of `flexpool list`.")],
    as_json: AsJson = False,
) -> None:
    """Show an operator: its formula, parameters, laws and where it comes from; or a block."""
    from flexpool.declare import Operator

    with called("show"):
        entry = _found(name)
    if as_json:
        print(json.dumps(_record(entry), indent=2))
    elif isinstance(entry, Operator):
        _print_operator(entry)
    else:
        _print_block(entry)


def _found(name: str) -> Operator | Block:
    from flexpool.declare import operators

    if name in operators():
        return operators()[name]
    from flexpool.nn.block import blocks  # loads torch, which takes a second

    if name in blocks():
        return blocks()[name]
    raise unknown("operator", name, {**operators(), **blocks()})


def _print_operator(operator: Operator) -> None:
    console = page()
    console.width = min(console.width, READABLE)
    described = _described(operator)
    console.print(Text.assemble((operator.name, "bold cyan"), "  ", (operator.family, "dim")))
    console.print(operator.summary, markup=False)
    console.print()
    print_python(formula_of(operator), indent=2)
    _print_titled(console, "Equation", described["Equation"])
    if operator.arguments:
        _print_titled(console, "Parameters", _parameters(operator, described.get("Args", "")))
    for section in TITLES:
        _print_titled(console, TITLES[section], described.get(section, ""))
    _print_titled(console, "Laws", _pairs({law: LAWS[law] for law in operator.laws}))
    _print_titled(console, "Limits", _pairs({at: f"is {o}" for at, o in operator.limits.items()}))
    _print_titled(console, "Paper", operator.paper)
    _print_titled(console, "Calls", "\n\n".join(calls_of(operator)))


def _print_block(block: Block) -> None:
    console = page()
    console.width = min(console.width, READABLE)
    described = _described(block)
    console.print(Text.assemble((block.name, "bold cyan"), "  ", (block.family, "dim")))
    console.print(block.summary, markup=False)
    _print_titled(console, "Equation", described["Equation"])
    arguments = _plain_table()
    for names, meaning in entries(described.get("Args", "")):
        arguments.add_row(Text(names, style="cyan"), Text(meaning))
    _print_titled(console, "Parameters", arguments)
    _print_titled(console, "Shape", described.get("Shape", ""))
    for section in TITLES:
        _print_titled(console, TITLES[section], described.get(section, ""))
    _print_titled(console, "Paper", block.paper)
    signature = inspect.signature(block.module)
    _print_titled(console, "Calls", plainly(f"flexpool.nn.{block.module.__name__}{signature}"))


def _print_titled(console: Console, title: str, content: str | Table) -> None:
    """Print a section, unless it is empty."""
    if isinstance(content, Table) and not content.row_count:
        return
    if content:
        console.print(f"\n{title}", style="bold")
        body = content if isinstance(content, Table) else Text("\n".join(_filled(content)))
        console.print(Padding(body, (0, 0, 0, 2), expand=False))


def _filled(text: str) -> Iterator[str]:
    """Join the lines of each paragraph, to be wrapped anew; those of an equation stay."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("$$"):
            yield from paragraph.strip("$").strip().split("\n")
        else:
            yield " ".join(paragraph.split())


def _parameters(operator: Operator, described: str) -> Table:
    """Make a table of the arguments, with what the docstring says of each."""
    meanings = dict(entries(described))
    table = _plain_table()
    for name, argument in operator.arguments.items():
        kind = KINDS[type(argument).__name__]
        learnable = ", learnable" if getattr(argument, "learnable", False) else ""
        label = name if is_random(argument) else in_brief(name, argument)
        table.add_row(
            Text(label, style="cyan"),
            Text.assemble(
                meanings.get(name, argument.domain),
                (f"\n{kind}{learnable}", "dim"),
            ),
        )
    return table


def _pairs(pairs: Mapping[str, str]) -> Table:
    table = _plain_table()
    for left, right in pairs.items():
        table.add_row(Text(left, style="cyan"), Text(right))
    return table


def _plain_table() -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _record(entry: Operator | Block) -> dict[str, Any]:
    """Tell all there is to know of an operator or a block, as JSON."""
    from flexpool.declare import Operator

    if isinstance(entry, Operator):
        return _operator_record(entry)
    return _block_record(entry)


def _block_record(block: Block) -> dict[str, Any]:
    return {
        "name": block.name,
        "kind": "block",
        "family": block.family,
        "summary": block.summary,
        "equation": _described(block)["Equation"],
        "module": f"flexpool.nn.{block.module.__name__}",
        "arguments": list(inspect.signature(block.module).parameters),
        "random": block.random,
        "downsampling": block.layer is not None,
        "onnx": not block.unexported,
        "paper": block.paper,
    }


def _operator_record(operator: Operator) -> dict[str, Any]:
    from flexpool.backends.choice import BACKENDS

    return {
        "name": operator.name,
        "kind": "operator",
        "family": operator.family,
        "summary": operator.summary,
        "equation": _described(operator)["Equation"],
        "formula": formula_of(operator),
        "arguments": [
            {
                "name": name,
                "kind": type(argument).__name__,
                "required": is_required(argument),
                "default": default_of(argument),
                "domain": argument.domain,
                "learnable": getattr(argument, "learnable", False),
            }
            for name, argument in operator.arguments.items()
        ],
        "laws": list(operator.laws),
        "limits": dict(operator.limits),
        "selects": operator.selects,
        "paper": operator.paper,
        "backends": list(BACKENDS),
    }


def _described(entry: Operator | Block) -> dict[str, str]:
    """Split a docstring into its sections, without marks that a terminal does not show."""
    return sections(entry.doc.replace("``", ""))
