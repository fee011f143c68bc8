"""The operators that ship, one per file: a docstring, a formula, a declaration."""
