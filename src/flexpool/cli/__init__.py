"""The `flexpool` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from flexpool.cli.app import app
    except ModuleNotFoundError as error:
        print(
            f"flexpool: the command needs the package {error.name!r}. "
            "Install it with: pip install 'flexpool[lab]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    app(prog_name="flexpool")
