"""The commands that tell about operators: ``list`` and ``show``."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flexpool.cli.terminal import page, print_python, reported
from flexpool.errors import called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from flexpool.declare import Argument, Operator

__all__ = ["list_operators", "show"]

LAWS = {
    "permutation": "the order of the values does not matter",
    "between": "never below the smallest value nor above the largest",
    "shift": "adding c to all values adds c to the result",
    "scale": "multiplying all values by c > 0 multiplies the result by c",
    "monotone": "a larger value never gives a smaller result",
    "even": "the signs of all values may be flipped",
    "constant": "equal values give that value",
}
KINDS = {
    "Param": "one number, or one per channel",
    "Weight": "one number per position, or per channel and position",
    "RankWeight": "one number per rank, or per channel and rank",
    "OnInput": "one number per element of the input",
    "OnOutput": "one number per window",
    "Random": "random number, from the caller's seed",
    "Option": "option",
}

READABLE = 100  # columns of prose
LONGEST = 100  # columns of a docstring's first line
PARAMETERS = 24

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@reported
def list_operators(as_json: AsJson = False) -> None:
    """List the pooling operators by family."""
    from flexpool.declare import operators

    known = sorted(operators().values(), key=lambda o: (o.family, o.name))
    if as_json:
        print(json.dumps([_record(operator) for operator in known], indent=2))
        return
    console = page()
    width = max(len(operator.name) for operator in known)
    for family, members in itertools.groupby(known, key=lambda o: o.family):
        console.print(Text(f"\n{family}", style="bold"))
        table = Table(box=None, padding=(0, 0, 0, 2), show_header=False)
        table.add_column(width=width, style="cyan")
        table.add_column(width=min(LONGEST, console.width - width - PARAMETERS - 6))
        table.add_column(width=PARAMETERS, style="dim", overflow="fold")
        for operator in members:
            parameters = "\n".join(_in_brief(n, a) for n, a in operator.arguments.items())
            table.add_row(operator.name, Text(operator.summary), Text(parameters))
        console.print(table)
    console.print(
        "\nAll take NumPy arrays and PyTorch tensors, with windows in any number of dimensions.\n"
        "All run on CPU (Numba), GPU (Triton) and wherever else PyTorch does.\n"
        "More about one: flexpool show NAME",
        style="dim",
    )


@reported
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator of `flexpool list`.")],
    as_json: AsJson = False,
) -> None:
    """Show an operator: its formula, parameters, laws and where it comes from."""
    from flexpool.declare import find

    with called("show"):
        operator = find(name)
    if as_json:
        print(json.dumps(_record(operator), indent=2))
        return
    _print_operator(operator)


def _print_operator(operator: Operator) -> None:
    console = page()
    console.width = min(console.width, READABLE)
    described = _sections(operator.doc)
    console.print(Text.assemble((operator.name, "bold cyan"), "  ", (operator.family, "dim")))
    console.print(operator.summary, markup=False)
    console.print()
    print_python(_formula(operator), indent=2)
    _print_titled(console, "Equation", described["Equation"])
    if operator.arguments:
        _print_titled(console, "Parameters", _parameters(operator, described.get("Args", "")))
    _print_titled(console, "Note", described.get("Note", ""))
    _print_titled(console, "Laws", _pairs({law: LAWS[law] for law in operator.laws}))
    _print_titled(console, "Limits", _pairs({at: f"is {o}" for at, o in operator.limits.items()}))
    _print_titled(console, "Paper", operator.paper)
    _print_titled(console, "Use", "\n\n".join(_uses(operator)))


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
    entries = re.split(r"^(\w+): ", described, flags=re.MULTILINE)
    meanings = dict(zip(entries[1::2], entries[2::2], strict=True))
    table = _plain_table()
    for name, argument in operator.arguments.items():
        kind = KINDS[type(argument).__name__]
        learnable = ", learnable" if getattr(argument, "learnable", False) else ""
        label = name if _is_random(argument) else _in_brief(name, argument)
        table.add_row(
            Text(label, style="cyan"),
            Text.assemble(
                " ".join(meanings.get(name, argument.domain).split()),
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


def _uses(operator: Operator) -> list[str]:
    """Write calls of an operator."""
    required = "".join(f", {n}=..." for n, a in operator.arguments.items() if _is_required(a))
    camel_case = "".join(part.capitalize() for part in operator.name.split("_"))
    return [
        f"flexpool.{operator.name}_pool(x, 2{required})",
        f"flexpool.nn.{camel_case}Pool2d(2)",
        f"flexpool show-kernel {operator.name} -k 2",
    ]


def _record(operator: Operator) -> dict[str, Any]:
    """Tell all there is to know of an operator, as JSON."""
    from flexpool.backends.choice import BACKENDS

    return {
        "name": operator.name,
        "family": operator.family,
        "summary": operator.summary,
        "equation": _sections(operator.doc)["Equation"],
        "formula": _formula(operator),
        "arguments": [
            {
                "name": name,
                "kind": type(argument).__name__,
                "required": _is_required(argument),
                "default": _default(argument),
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


def _is_required(argument: Argument) -> bool:
    return argument.required and not _is_random(argument)


def _is_random(argument: Argument) -> bool:
    """Tell whether an argument is drawn, from a seed that callers may give."""
    return type(argument).__name__ == "Random"


def _default(argument: Argument) -> Any:
    """Give an argument's default; of one that is computed, the function's name."""
    if argument.required:
        return None
    return getattr(argument.default, "__name__", argument.default)


def _in_brief(name: str, argument: Argument) -> str:
    if _is_random(argument):
        return "seed"
    return f"{name} (required)" if argument.required else f"{name}={_written(argument)}"


def _written(argument: Argument) -> str:
    default = _default(argument)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _formula(operator: Operator) -> str:
    """Give the formula's source without its declaration."""
    source = inspect.cleandoc(inspect.getsource(operator.formula))
    return source[re.search(r"^def ", source, re.MULTILINE).start() :].rstrip()  # type: ignore[union-attr]


def _sections(doc: str) -> dict[str, str]:
    """Split a docstring into its sections; what follows the summary is the equation."""
    parts = re.split(r"^(\w+):\n", doc.replace("``", ""), flags=re.MULTILINE)
    opening = parts[0].partition("\n")[2]
    titled = zip(parts[1::2], parts[2::2], strict=True)
    return {name: inspect.cleandoc(f"\n{text}") for name, text in [("Equation", opening), *titled]}
