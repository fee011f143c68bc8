"""Which cases `make test` runs, where each compiles a kernel: all others are heavy."""

import pytest


def in_turns(rows, columns):
    """Pair each row with one column and each column with one row, in turn.

    Example:
        >>> in_turns("abc", (1, 2))
        [('a', 1), ('b', 2), ('c', 1)]
    """
    rows, columns = list(rows), list(columns)
    count = max(len(rows), len(columns))
    return [(rows[i % len(rows)], columns[i % len(columns)]) for i in range(count)]


def but_for(quick, cases):
    """Make parameters of all cases, each a tuple or alone, and mark as heavy what is not quick."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[] if case in quick else pytest.mark.heavy,
        )
        for case in cases
    ]
