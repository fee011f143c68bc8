"""Every operator file is complete, and its oracle is written independently."""

import ast
import re
from pathlib import Path

import pytest

from flexpool.declare import find, operators

ORACLES = Path(__file__).parents[1] / "oracles"
LAWS = {"permutation", "between", "shift", "scale", "monotone", "even", "constant"}


@pytest.mark.parametrize("name", operators())
def test_operator_has_an_oracle(name):
    functions = {n.name for n in parsed(name).body if isinstance(n, ast.FunctionDef)}
    assert {"pool", "gradient"} <= functions


@pytest.mark.parametrize("name", sorted(p.stem for p in ORACLES.glob("*.py")))
def test_oracle_imports_only_numpy_and_math(name):
    tree = parsed(name)
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    partly = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    driver = {"importlib", "inspect", "itertools", "dataclasses"} if name == "__init__" else set()
    assert plain | partly <= {"numpy", "math"} | driver


def test_every_oracle_has_an_operator():
    assert {p.stem for p in ORACLES.glob("*.py")} - {"__init__"} == set(operators())


@pytest.mark.parametrize("name", operators())
def test_docstring_is_complete(name):
    operator = find(name)
    titles = ["Args", "Note", "Use", "Disagreement", "Example", "Reference"]
    sections = re.split(rf"\n\n({'|'.join(titles)}):\n", operator.doc)
    parts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(parts) == [title for title in titles if title in parts]
    assert re.fullmatch(r"[A-Z].{20,98}\.", operator.summary)
    assert "\n$$ y" in sections[0] or "\n$$ P(y" in sections[0]
    assert {"Note", "Use", "Example", "Reference"} <= set(parts)
    for title in {"Use", "Disagreement"} & set(parts):
        assert re.fullmatch(r"( {4}\S.*\n?)+", parts[title])
        assert parts[title].endswith(".")
    asked = [n for n, a in operator.arguments.items() if not a.domain.startswith("drawn")]
    assert re.findall(r"^    (\w+): ", parts.get("Args", ""), re.MULTILINE) == asked


@pytest.mark.parametrize("name", operators())
def test_example_is_short(name):
    example = find(name).doc.split("\nExample:\n")[1].split("\n\n")[0].splitlines()
    assert any(line.startswith("    >>> ") for line in example)
    assert len(example) <= 6


@pytest.mark.parametrize("name", operators())
def test_paper_is_the_reference(name):
    reference = " ".join(find(name).doc.split("\nReference:\n")[1].split())
    author = r"[^\W\d_][\w-]+( [A-Z]\w+)?"
    assert re.match(rf"{author}(, {author})* \(\d{{4}}\), .+", find(name).paper)
    assert reference == f"{find(name).paper}."


@pytest.mark.parametrize("name", operators())
def test_declaration_uses_the_fixed_words(name):
    assert set(find(name).laws) <= LAWS
    for limit, other in find(name).limits.items():
        assert limit.split("=")[0] in find(name).arguments
        assert other.split("(")[0] in operators()


def parsed(name):
    return ast.parse((ORACLES / f"{name}.py").read_text(encoding="utf-8"))
