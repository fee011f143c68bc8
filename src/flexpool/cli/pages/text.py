"""The text of the pages, from the declarations alone."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence

from flexpool.cli.describe import (
    KINDS,
    LAWS,
    calls_of,
    default_of,
    entries,
    formula_of,
    is_random,
    is_required,
    plainly,
    sections,
)
from flexpool.cli.pages import examples
from flexpool.declare import Argument, Operator, camel_case, operators
from flexpool.nn.block import Block, blocks

__all__ = ["texts"]

WRITTEN = "<!-- Written by `make docs` from {source}. Change that, not this. -->"

INTRODUCTION = """\
{operators} operators and {blocks} blocks. An **operator** is one formula over a window: it runs on
NumPy arrays and PyTorch tensors as a fused kernel, in any number of dimensions, with sliding,
adaptive or global windows. A **block** is a PyTorch module that needs more than a window: a whole
map, a small network, a second result.

The pictures show what each makes of the same test picture, and below it the gradient of the sum of
the results, enlarged, red above 0 and blue below.
"""

OUT_OF_SCOPE = """\
## Not here, and why

* **NetVLAD** describes an image by distances from learned cluster centres: an encoder with a
  training of its own, whose result has the size of the clusters, not of a smaller map.
* **RNNPool** runs recurrent networks along the rows and columns of a patch: a small network in the
  place of a pooling, for which PyTorch's own recurrent layers are the right tool.
* **RoI pooling** and **RoI align** pool boxes that a detector brings, other ones for each image:
  their windows are data. torchvision has both.
"""

LEGEND = (
    "Left to right: {what}; the result{how}; the gradient of the sum of all results with respect "
    "to it{response}."
)
RESPONSE = (
    "; the result for a window of 0.2, 0.5, 0.8 and a fourth value, over that value, with the "
    "maximum (dashed) and the average (dotted) in grey"
)


def texts() -> dict[str, str]:
    """Give the text of every page by the name of its file.

    Example:
        >>> texts()["max.md"].splitlines()[4]
        '# max'
    """
    pages = {f"{name}.md": _operator_page(operator) for name, operator in operators().items()}
    pages |= {f"{name}.md": _block_page(block) for name, block in blocks().items()}
    return {**pages, "README.md": _index()}


def _operator_page(operator: Operator) -> str:
    described = sections(operator.doc)
    responding = not any(type(a).__name__ == "OnInput" for a in operator.values.values())
    said = examples.words(operator)
    how = f" for windows of {examples.WINDOW} × {examples.WINDOW}, stride {examples.WINDOW}"
    how += f", where {' and '.join(said)}" if said else ""
    legend = LEGEND.format(
        what="the test picture", how=how, response=RESPONSE if responding else ""
    )
    source = f"src/{operator.formula.__module__.replace('.', '/')}.py"
    parts = [
        *_opening(operator.name, operator.family, operator.summary, described["Equation"], source),
        *_picture(operator.name, legend),
        f"## Formula\n\n```py\n{formula_of(operator)}\n```\n\nIn [{source}](../../{source}).",
        _titled("Parameters", _parameters(operator, described.get("Args", ""))),
        _titled("Laws and limits", _laws(operator)),
        *_prose(operator.name, described),
        _titled("In code", _operator_code(operator)),
        f"## Paper\n\n{operator.paper}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block_page(block: Block) -> str:
    described = sections(block.doc)
    example = examples.block_example(block)
    how = f" ({example.how})" if example.how else ""
    legend = LEGEND.format(what=example.what, how=how, response="")
    source = f"src/{block.module.__module__.replace('.', '/')}.py"
    arguments = [
        f"| `{names}` | {_cell(meaning, block.name)} |"
        for names, meaning in entries(described.get("Args", ""))
    ]
    table = "| | |\n|---|---|\n" + "\n".join(arguments) if arguments else ""
    parts = [
        *_opening(block.name, block.family, block.summary, described["Equation"], source),
        *_picture(block.name, legend),
        _titled("Parameters", table),
        _titled("Shape", _marked(described.get("Shape", ""), block.name)),
        *_prose(block.name, described),
        _titled("In code", _block_code(block, source)),
        f"## Paper\n\n{block.paper}." if block.paper else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(name: str, family: str, summary: str, equation: str, source: str) -> list[str]:
    return [
        WRITTEN.format(source=source),
        f"[All operators and blocks](README.md) · {family}",
        f"# {name}",
        _marked(summary, name),
        _marked(equation, name),
    ]


def _picture(name: str, legend: str) -> list[str]:
    return [f"![{name} on the test picture](pictures/{name}.png)", f"*{legend}*"]


def _prose(name: str, described: Mapping[str, str]) -> list[str]:
    titles = {
        "Note": "Note",
        "Use": "When to use it",
        "Disagreement": "What others do otherwise",
    }
    return [_titled(t, _marked(described.get(s, ""), name)) for s, t in titles.items()]


def _titled(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _parameters(operator: Operator, described: str) -> str:
    meanings = dict(entries(described))
    head = "| | default | domain | learned | |\n|---|---|---|---|---|\n"
    rows = [
        f"| `{'seed' if is_random(a) else name}` | {_default(a)} | {_cell(_domain(a))} "
        f"| {'yes' if getattr(a, 'learnable', False) else 'no'} "
        f"| {_cell(meanings.get(name, 'of the random numbers; None draws one'), operator.name)} |"
        for name, a in operator.arguments.items()
    ]
    return head + "\n".join(rows) if rows else ""


def _domain(argument: Argument) -> str:
    if is_random(argument):
        return "an int or None"
    kind = KINDS[type(argument).__name__]
    return argument.domain if kind == "option" else f"{argument.domain}; {kind}"


def _default(argument: Argument) -> str:
    if is_random(argument):
        return "`None`"
    if is_required(argument):
        first = getattr(argument, "first", None)
        return "required" if first is None else "required; a module has its own"
    default = default_of(argument)
    return f"`{default:g}`" if isinstance(default, float) else f"`{default!r}`".replace("'", '"')


def _laws(operator: Operator) -> str:
    laws = [f"* **{law}**: {LAWS[law]}." for law in operator.laws]
    limits = [
        f"* With `{at.partition('=')[0]}` = {_number(at)} it is {_linked(other)}."
        for at, other in operator.limits.items()
    ]
    also = ["* The result is always one of the window's own values."] if operator.selects else []
    return "\n".join([*laws, *also, *limits])


def _number(limit: str) -> str:
    """Write a limit's number for readers: 1e9 and 99 stand for infinity, 1e-12 for nearly 0."""
    written = limit.partition("=")[2]
    number = float(written)
    if abs(number) >= 99:
        return "∞" if number > 0 else "−∞"
    return "0" if abs(number) < 1e-6 else written


def _linked(other: str) -> str:
    name, _, settings = other.partition("(")
    return f"[`{name}`]({name}.md)" + (f" with `{settings.rstrip(')')}`" if settings else "")


def _operator_code(operator: Operator) -> str:
    name = camel_case(operator.name)
    function, _, kernel = calls_of(operator)
    modules = [f"`{kind}{name}Pool1d`, `2d`, `3d`" for kind in ("", "Adaptive", "Global")]
    lines = [
        f"* The function `{function}`, for arrays and tensors; `flexpool.pool(x, "
        f'"{operator.name}", 2)` and `flexpool.pool_backward` alike.',
        f"* The modules {'; '.join(modules)}, in `flexpool.nn`.",
        f"* The code that runs: `{kernel}`, with `--backward` for the gradient.",
    ]
    if not any(type(a).__name__ in ("OnInput", "OnOutput") for a in operator.values.values()):
        lines.append(f"* In the laboratory: `flexpool compare --downsampling {operator.name}`.")
    return _filled(lines)


def _block_code(block: Block, source: str) -> str:
    signature = plainly(str(inspect.signature(block.module)))
    lines = [
        f"* The module `flexpool.nn.{block.module.__name__}{signature}`, in "
        f"[{source}](../../{source}).",
        f"* In the laboratory: `flexpool compare --downsampling {block.name}`."
        if block.layer
        else f"* Not in the place of a pooling, so no `--downsampling`: {_lowered(block.apart)}",
        f"* Not exported to ONNX: {_lowered(block.unexported)}"
        if block.unexported
        else "* Exported to ONNX, and with `torch.export`.",
    ]
    if block.random:
        lines.append("* Draws random numbers while training, none in evaluation.")
    return _filled(lines)


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _filled(items: Sequence[str]) -> str:
    """Wrap the lines of a list; code is not broken."""
    wrapped = [
        textwrap.fill(
            item, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for item in items
    ]
    return "\n".join(wrapped)


def _cell(text: str, name: str = "") -> str:
    """Write a text so that it can stand in a table, where | ends a cell."""
    in_math = re.sub(r"\$[^$]+\$", lambda m: m[0].replace("|", r"\vert "), " ".join(text.split()))
    return _marked(in_math, name).replace("|", r"\|")


def _marked(text: str, name: str) -> str:
    """Turn a docstring's marks into Markdown: mathematics, code, classes, links to other pages.

    Mathematics goes between backquotes, which GitHub offers so that backslashes stay.
    """
    displayed = re.split(r"\$\$(.+?)\$\$", text, flags=re.DOTALL)
    parts = [
        f"```math\n{part.strip()}\n```" if number % 2 else _marked_line(part, name)
        for number, part in enumerate(displayed)
    ]
    return "".join(parts).strip()


def _marked_line(text: str, name: str) -> str:
    formulas = re.split(r"\$([^$]+)\$", text)
    return "".join(
        f"$`{' '.join(part.split())}`$" if number % 2 else _marked_words(part, name)
        for number, part in enumerate(formulas)
    )


def _marked_words(text: str, name: str) -> str:
    def referred(match: re.Match[str]) -> str:
        found = match["code"] or match["cls"]
        page = _page_of(found)
        return f"[`{found}`]({page}.md)" if page and page != name else f"`{found}`"

    text = re.sub(r"(?<=[(\s])\*(?=\w)", r"\\*", text)  # *sizes is no emphasis
    return re.sub(r"``(?P<code>[^`]+)``|:class:`(?P<cls>[^`]+)`", referred, text)


def _page_of(name: str) -> str | None:
    """Find the page of an operator, a block or one of their classes."""
    if name in operators() or name in blocks():
        return name
    return _classes().get(name)


@functools.cache
def _classes() -> Mapping[str, str]:
    own = {f"{camel_case(name)}Pool2d": name for name in operators()}
    return own | {block.module.__name__: name for name, block in blocks().items()}


def _index() -> str:
    head = INTRODUCTION.format(operators=len(operators()), blocks=len(blocks())).strip()
    parts = [
        WRITTEN.format(source="the declarations in src/flexpool/ops and src/flexpool/nn/blocks"),
        "# Operators and blocks",
        head,
        "`flexpool list` prints the same in a terminal, `flexpool show NAME` one of them.",
        "![What every operator makes of the test picture](pictures/all_operators.png)",
        "## Operators",
        *_families(operators()),
        "## Blocks",
        "![What every block makes of the test picture](pictures/all_blocks.png)",
        *_families(blocks()),
        OUT_OF_SCOPE.strip(),
    ]
    return "\n\n".join(parts) + "\n"


def _families(known: Mapping[str, Operator] | Mapping[str, Block]) -> list[str]:
    listed: list[Operator | Block] = sorted(known.values(), key=lambda e: (e.family, e.name))
    tables = []
    for family, members in itertools.groupby(listed, key=lambda entry: entry.family):
        rows = [f"| [`{e.name}`]({e.name}.md) | {_cell(e.summary, e.name)} |" for e in members]
        tables.append(f"### {family.capitalize()}\n\n| | |\n|---|---|\n" + "\n".join(rows))
    return tables
