"""The commands about operators: what they print, and what they say to bad input."""

import ast
import json
import os
import pty
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from flexpool.backends import numba_cpu, triton_gpu
from flexpool.backends.task import Task, geometry
from flexpool.cli.app import app
from flexpool.cli.describe import LAWS, sections
from flexpool.declare import find, operators
from flexpool.nn.block import blocks
from flexpool.window import window


def flexpool(*arguments, check=True):
    done = CliRunner().invoke(app, arguments, prog_name="flexpool")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if check:
        assert done.exit_code == 0, done.stderr
    return done


def on_a_terminal(columns, *arguments):
    """What a command prints on a terminal of so many columns, colours included."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "flexpool", *arguments]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    printed = b""
    try:
        while chunk := os.read(leader, 65536):
            printed += chunk
    except OSError:  # Linux says so that the other side has gone
        pass
    finally:
        os.close(leader)
    assert process.wait() == 0, printed
    return printed.decode().replace("\r\n", "\n")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def task(name, dtype="float32", gradient=(), options=None, **where):
    operator = find(name)
    graph = operator.gradient(gradient, **(options or {})) if gradient else operator.graph()
    place = geometry(window(2, **where), (32, 32))
    return Task(graph, place, (1, 1), dtype)


def test_list_names_every_operator_with_its_parameters():
    printed = flexpool("list").stdout
    for operator in operators().values():
        assert re.search(rf"^  {operator.name} .*{re.escape(operator.summary)}", printed, re.M)
    for text in ("divisor_override=None", "p=2 ", "logits (required)", "weight=binomial", "seed"):
        assert text in printed


def test_blocks_are_listed_beside_the_operators():
    listed = {record["name"]: record for record in json.loads(flexpool("list", "--json").stdout)}
    printed = flexpool("list").stdout
    for name, block in blocks().items():
        assert re.search(rf"^  {name} .*{re.escape(block.summary)} *nn", printed, re.M)
        assert listed[name]["module"] == f"flexpool.nn.{block.module.__name__}"
        assert listed[name]["downsampling"] == (block.layer is not None)
    assert listed["slice"]["arguments"] == ["kernel_size", "stride"]


def test_a_block_is_shown():
    shown = flexpool("show", "slice").stdout
    assert "nn.Slice2d(kernel_size, stride)" in shown
    assert "y_{u,v} = x_{su,\\, sv}" in shown
    assert json.loads(flexpool("show", "slice", "--json").stdout)["kind"] == "block"
    assert "Did you mean 'slice'?" in flexpool("show", "slicee", check=False).stderr


def test_list_as_json_is_complete():
    listed = {record["name"]: record for record in json.loads(flexpool("list", "--json").stdout)}
    assert listed.keys() == operators().keys() | blocks().keys()
    for name, operator in operators().items():
        record = listed[name]
        assert record["kind"] == "operator"
        for field in ("family", "summary", "paper", "selects"):
            assert record[field] == getattr(operator, field)
        assert tuple(record["laws"]) == operator.laws
        assert record["limits"] == dict(operator.limits)
        assert record["equation"].startswith("$$ ")
        assert record["formula"].startswith(f"def {operator.formula.__name__}(")
        assert [a["name"] for a in record["arguments"]] == list(operator.arguments)
    (p,) = listed["lp"]["arguments"]
    assert p == {
        "name": "p",
        "kind": "Param",
        "required": False,
        "default": 2.0,
        "domain": "a number > 0",
        "learnable": True,
    }
    (logits,) = listed["lip"]["arguments"]
    assert (logits["kind"], logits["required"], logits["default"]) == ("OnInput", True, None)
    assert [a["required"] for a in listed["stochastic"]["arguments"]] == [False, False]
    assert [a["default"] for a in listed["avg"]["arguments"]] == [True, None]
    assert listed["blur"]["arguments"][0]["default"] == "binomial"
    assert json.loads(flexpool("show", "lp", "--json").stdout) == listed["lp"]


@pytest.mark.parametrize("name", list(operators()))
def test_show_tells_formula_equation_parameters_laws_limits_and_paper(name):
    operator = find(name)
    printed = flexpool("show", name).stdout
    flat = " ".join(printed.split())
    assert f"  def {operator.formula.__name__}(" in printed
    assert "@operator" not in printed
    for text in (operator.summary, operator.paper, *(LAWS[law] for law in operator.laws)):
        assert text in flat
    for at, limit in operator.limits.items():
        assert f"{at} is {limit}" in flat
    for argument in operator.arguments:
        assert re.search(rf"^  {argument}\b", printed, re.M)
    assert "\nEquation\n  " in printed
    assert f"flexpool.{name}_pool(x, 2" in printed
    described = sections(operator.doc.replace("``", ""))
    for section, title in (("Use", "When to use it"), ("Disagreement", "What others do otherwise")):
        assert (f"\n{title}\n  " in printed) == (section in described)
        assert " ".join(described.get(section, "").split()) in flat


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("arguments", [("list",), ("show", "stochastic"), ("show", "boltzmann")])
def test_what_is_printed_on_a_terminal_stays_inside_it(columns, arguments):
    printed = on_a_terminal(columns, *arguments)
    assert "\x1b[" in printed
    assert max(map(len, plain(printed).splitlines())) <= columns


def test_a_kernel_is_that_of_the_backend():
    printed = flexpool("show-kernel", "soft", "-k", "3", "-s", "2", "-p", "1").stdout
    made = task("soft", kernel_size=3, stride=2, padding=1)
    assert printed == numba_cpu.source(made, False)
    ast.parse(printed)


def test_a_kernel_can_be_of_triton_backward_and_of_any_window():
    arguments = ("-k", "3,2", "-s", "2,1", "-d", "2", "-p", "1,0", "--ceil-mode")
    other = ("--backend", "triton", "--backward", "--dtype", "float64")
    printed = flexpool("show-kernel", "boltzmann", *arguments, *other).stdout
    where = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": 2}
    made = task("boltzmann", "float64", ("x", "beta"), **where, ceil_mode=True)
    assert printed == triton_gpu.source(made)


def test_a_kernel_follows_layout_options_and_size():
    arguments = ("show-kernel", "avg", "-k", "3", "-s", "2")
    first = flexpool(*arguments).stdout
    assert flexpool(*arguments, "--layout", "channels_last").stdout != first
    assert flexpool(*arguments, "-o", "divisor_override=7").stdout != first
    assert "start_0[o0], start_1[o1], base" in flexpool(*arguments, "--dimensions", "3").stdout
    triton = ("show-kernel", "max", "-k", "3", "-s", "2", "--ceil-mode", "--backend", "triton")
    even, odd = (flexpool(*triton, "--size", size).stdout for size in ("32", "33"))
    assert even != odd


def test_a_kernel_is_coloured_on_a_terminal_and_otherwise_the_same():
    arguments = ("show-kernel", "max", "-k", "2")
    printed = on_a_terminal(60, *arguments)
    assert "\x1b[" in printed
    assert plain(printed) == flexpool(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "sofd"), "Error: show: unknown operator 'sofd'. Did you mean 'soft'? Known:"),
        (("show-kernel", "maxx"), "show-kernel: unknown operator 'maxx'. Did you mean 'max'?"),
        (
            ("show-kernel", "max", "--backend", "tritn"),
            "unknown backend 'tritn'. Did you mean 'triton'? Known: numba, triton.",
        ),
        (
            ("show-kernel", "max", "--dtype", "flaot32"),
            "unknown dtype 'flaot32'. Did you mean 'float32'? Known: float32, float64.",
        ),
        (
            ("show-kernel", "max", "--layout", "channels"),
            "unknown layout 'channels'. Did you mean 'channels_last'?",
        ),
        (
            ("show-kernel", "max", "--backend", "triton", "--layout", "channels_last"),
            "show-kernel: expected layout to be contiguous for triton, got 'channels_last'. "
            "Leave it out: Triton's kernels read contiguous arrays.",
        ),
        (
            ("show-kernel", "max", "-k", "three"),
            "show-kernel: expected kernel_size to be an int, or several with commas between, "
            "got 'three'.",
        ),
        (("show-kernel", "max", "-k", "0"), "expected kernel_size to be an int > 0"),
        (("show-kernel", "max", "-k", "3", "-p", "2"), "expected padding to be at most"),
        (("show-kernel", "max", "-k", "3,2", "--dimensions", "3"), "expected kernel_size to be"),
        (("show-kernel", "max", "--dimensions", "0"), "expected dimensions to be an int > 0"),
        (("show-kernel", "max", "--size", "1"), "expected the input to have at least 2 elements"),
        (("show-kernel", "max", "-o", "p=3"), "max takes no argument 'p'"),
        (("show-kernel", "avg", "-o", "divisor=3"), "unknown argument 'divisor'. Did you mean"),
        (
            ("show-kernel", "avg", "-o", "divisor_override=0"),
            "expected divisor_override to be None or an int other than 0, got 0.",
        ),
        (
            ("show-kernel", "lp", "-o", "p=3"),
            "show-kernel: expected --option to name an option of lp, got 'p=3'. "
            "Leave it out: p is given to the source when it runs.",
        ),
        (("show-kernel", "lp", "-o", "p"), "expected --option to be NAME=VALUE, got 'p'."),
        (("show-kernel",), "Missing argument 'NAME'"),
    ],
)
def test_bad_input_is_refused_in_one_clear_message(arguments, message):
    done = flexpool(*arguments, check=False)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["show", "soft"], ["show-kernel", "soft"]])
def test_no_command_about_one_operator_needs_torch(arguments):
    program = f"""
import sys
from flexpool.cli.app import app
try:
    app({arguments!r})
except SystemExit:
    pass
assert "torch" not in sys.modules, "torch was loaded"
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
