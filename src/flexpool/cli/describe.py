"""What is declared about operators and blocks, in words and parts; nothing here prints."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexpool.declare import Argument, Operator

__all__ = [
    "KINDS",
    "LAWS",
    "calls_of",
    "default_of",
    "entries",
    "formula_of",
    "in_brief",
    "is_random",
    "is_required",
    "plainly",
    "sections",
    "written",
]

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


def calls_of(operator: Operator) -> list[str]:
    """Write calls of an operator."""
    required = "".join(f", {n}=..." for n, a in operator.arguments.items() if is_required(a))
    camel_case = "".join(part.capitalize() for part in operator.name.split("_"))
    return [
        f"flexpool.{operator.name}_pool(x, 2{required})",
        f"flexpool.nn.{camel_case}Pool2d(2)",
        f"flexpool show-kernel {operator.name} -k 2",
    ]


def plainly(signature: str) -> str:
    """Leave the types out of a signature: the docstring says them in words."""
    return re.sub(r": '[^']*'| -> .*$", "", signature).replace(" = ", "=")


def entries(described: str) -> list[tuple[str, str]]:
    """Split what a docstring says of arguments into names and meanings."""
    parts = re.split(r"^([\w, ]+): ", described, flags=re.MULTILINE)
    meanings = (" ".join(meaning.split()) for meaning in parts[2::2])
    return list(zip(parts[1::2], meanings, strict=True))


def is_required(argument: Argument) -> bool:
    """Tell whether a caller must give an argument."""
    return argument.required and not is_random(argument)


def is_random(argument: Argument) -> bool:
    """Tell whether an argument is drawn, from a seed that callers may give."""
    return type(argument).__name__ == "Random"


def default_of(argument: Argument) -> Any:
    """Give an argument's default; of one that is computed, the function's name."""
    if argument.required:
        return None
    return getattr(argument.default, "__name__", argument.default)


def in_brief(name: str, argument: Argument) -> str:
    """Write an argument with its default, as in a signature."""
    if is_random(argument):
        return "seed"
    return f"{name} (required)" if argument.required else f"{name}={written(argument)}"


def written(argument: Argument) -> str:
    """Write an argument's default."""
    default = default_of(argument)
    return f"{default:g}" if isinstance(default, float) else str(default)


def formula_of(operator: Operator) -> str:
    """Give the formula's source without its declaration."""
    source = inspect.cleandoc(inspect.getsource(operator.formula))
    return source[re.search(r"^def ", source, re.MULTILINE).start() :].rstrip()  # type: ignore[union-attr]


def sections(doc: str) -> dict[str, str]:
    """Split a docstring into its sections; what follows the summary is the equation."""
    parts = re.split(r"^(\w+):\n", doc, flags=re.MULTILINE)
    opening = parts[0].partition("\n")[2]
    titled = zip(parts[1::2], parts[2::2], strict=True)
    return {name: inspect.cleandoc(f"\n{text}") for name, text in [("Equation", opening), *titled]}
