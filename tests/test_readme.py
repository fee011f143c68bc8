"""What the documents say, runs, and what they name is there."""

import os
import re
from pathlib import Path

import pytest

from flexpool.declare import operators
from flexpool.nn.block import blocks
from forked import python

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", document.read_text(), re.S))
]

TEXTS = [document.read_text() for document in DOCUMENTS]
PRINTED = [
    pytest.param(command, printed, id=command)
    for text in TEXTS
    for command, printed in re.findall(r"```text\n\$ ([^\n]+)\n(.*?)```", text, re.S)
]
QUOTED = [
    pytest.param(path, code, id=path)
    for text in TEXTS
    for path, code in re.findall(r"```py\n# (\S+\.py)\n(.*?)```", text, re.S)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_python_of_the_documents_runs(block, tmp_path):
    done = python("-c", block, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("document", ["README", "engine", "add_an_operator"])
def test_there_is_python_in_the_documents(document):
    assert sum(block.id.startswith(f"{document}.md") for block in BLOCKS) >= 2


@pytest.mark.parametrize(("command", "printed"), PRINTED)
def test_what_the_documents_say_a_command_prints(command, printed):
    program, *arguments = command.split()
    assert program == "flexpool"
    done = python("-m", program, *arguments, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    rest = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
    for part in printed.split("...\n"):  # where lines are left out
        assert part in rest
        rest = rest[rest.index(part) + len(part) :]


@pytest.mark.parametrize(("path", "code"), QUOTED)
def test_code_the_documents_quote_is_there(path, code):
    assert code in (ROOT / path).read_text()


def test_every_file_and_picture_the_documents_name_is_there():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name} names {target}"


def test_every_target_the_documents_name_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= targets
    assert {"setup", "compare", "test", "test-all", "lint", "bench", "clean", "help"} <= targets


def test_the_file_tree_names_every_package_of_the_source():
    tree = README[README.index("src/flexpool/") :]
    modules = {path for path in (ROOT / "src" / "flexpool").glob("*.py") if path.stem[0] != "_"}
    packages = {path.parent for path in (ROOT / "src" / "flexpool").glob("*/__init__.py")}
    assert [path.name for path in modules | packages if path.name not in tree] == []


def test_the_readme_counts_and_names_what_ships():
    counted = re.search(r"(\d+) pooling operators and (\d+) blocks", README)
    assert tuple(map(int, counted.groups())) == (len(operators()), len(blocks()))
    assert [name for name in operators() if f"`{name}`" not in README] == []
