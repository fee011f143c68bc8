"""The pages of operators and blocks: complete, up to date, well linked."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from flexpool.cli.pages.pictures import pictures
from flexpool.cli.pages.scene import scene
from flexpool.cli.pages.text import texts
from flexpool.declare import operators
from flexpool.nn.block import blocks

FOLDER = Path(__file__).parents[1] / "docs" / "operators"
NAMES = [*operators(), *blocks()]
LARGEST, LARGEST_SHEET, LARGEST_TOGETHER = 25_000, 90_000, 3_000_000  # bytes


@pytest.fixture(scope="module")
def pages():
    return texts()


def test_pages_are_those_that_the_declarations_give(pages):
    """If this fails, run `make docs` and commit what it writes."""
    assert {path.name for path in FOLDER.glob("*.md")} == pages.keys()
    old = [name for name in pages if (FOLDER / name).read_text(encoding="utf-8") != pages[name]]
    assert old == []


def test_every_operator_and_block_has_a_page_a_picture_and_a_line_in_the_index(pages):
    assert pages.keys() == {f"{name}.md" for name in [*NAMES, "README"]}
    index = pages["README.md"]
    for name, entry in {**operators(), **blocks()}.items():
        assert re.search(rf"^\| \[`{name}`\]\({name}\.md\) \| .+ \|$", index, re.MULTILINE)
        assert f"# {name}\n" in pages[f"{name}.md"]
        assert entry.paper in pages[f"{name}.md"]
    for out in ("NetVLAD", "RNNPool", "RoI pooling"):
        assert f"**{out}**" in index


def test_pictures_are_there_and_small():
    sizes = {path.stem: path.stat().st_size for path in (FOLDER / "pictures").glob("*.png")}
    assert sizes.keys() == {*NAMES, "all_operators", "all_blocks", "eight_operators"}
    assert all(size < LARGEST for name, size in sizes.items() if name in NAMES)
    assert max(sizes.values()) < LARGEST_SHEET
    assert sum(sizes.values()) < LARGEST_TOGETHER


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_sound_markdown(pages, name):
    page = pages[f"{name}.md"]
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert target.startswith("http") or (FOLDER / target).exists(), target
    outside = re.sub(r"```.*?```|\$`[^`]*`\$", "", page, flags=re.DOTALL)
    assert "$" not in outside
    assert "``" not in outside
    assert ":class:" not in outside
    for line in outside.splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert cells in (2, 5), line


def test_a_page_says_what_the_declaration_says(pages):
    page = pages["lse.md"]
    for text in (
        "* With `r` = ∞ it is [`max`](max.md).",
        "* **shift**: adding c to all values adds c to the result.",
        "| `r` | `1` | a finite number; one number, or one per channel | yes |",
        "`AdaptiveLsePool1d`, `2d`, `3d`",
        "`flexpool show-kernel lse -k 2`",
        "## What others do otherwise",
        "```math\ny = \\frac{1}{r} \\ln",
    ):
        assert text in page
    assert "not exported" in pages["diff_stride.md"].lower()
    assert "`flexpool compare --downsampling aps`" in pages["aps.md"]
    assert "no `--downsampling`" in pages["max_unpool.md"]


@pytest.mark.parametrize(("name", "panels"), [("lse", 4), ("lip", 3), ("slice", 3), ("strip", 4)])
def test_a_picture_is_drawn_with_a_palette_on_white(name, panels):
    with Image.open(io.BytesIO(pictures()[name]())) as picture:
        assert picture.mode == "P"
        assert picture.width == panels * 278 + 22
        colours = picture.convert("RGB").getcolors()
    assert len(colours) <= 128
    assert {(255, 255, 255), (0, 0, 0)} <= {colour for _, colour in colours}


def test_the_test_picture_has_black_white_and_all_between():
    picture = scene()
    assert (picture == 0).mean() > 0.3
    assert len(set(picture.ravel().tolist())) > 1000
