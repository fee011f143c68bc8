"""Make ``python -m flexpool`` the same as ``flexpool``."""

from flexpool.cli import main

main()
