"""The command that writes a page and a picture of each operator and block, and their index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexpool.cli.progress import steps
from flexpool.cli.terminal import reported

__all__ = ["pages"]


@reported
def pages(
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs/operators"),
) -> None:
    """Write the documentation's pages: formula, picture, laws and paper of each, and an index."""
    from flexpool.cli.pages.pictures import pictures
    from flexpool.cli.pages.text import texts

    (out / "pictures").mkdir(parents=True, exist_ok=True)
    drawn = pictures()
    with steps("picture", len(drawn)) as bar:
        for name, draw in drawn.items():
            bar.doing(name)
            (out / "pictures" / f"{name}.png").write_bytes(draw())
            bar.done(name)
    written = texts()
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8")
    print(f"{out}: {len(written)} pages, {len(drawn)} pictures")
