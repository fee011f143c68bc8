"""Measure the errors of Numba's elementwise functions, in units of the last place.

    python benchmarks/precision.py [millions of numbers]

Compared with NumPy's longdouble, which has 64 binary digits on x86: results that are subnormal or
overflow are left out. The functions are compiled with the options of the kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from flexpool.backends import numba_math
from flexpool.backends.kernel_files import OPTIONS

Array = np.ndarray[Any, Any]
EXACT: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "log": np.log,
    "log1p": np.log1p,
}
EXPONENTS = (-1.0, 0.3, 0.5, 1.5, 2.0, 2.5, 3.0, 10.0, 50.0)


def looped(function: Any) -> Any:
    @numba.njit(**OPTIONS)
    def loop(a: Array, out: Array) -> None:
        for i in range(len(a)):
            out[i] = function(a[i])

    return loop


@numba.njit(**OPTIONS)
def power_loop(a: Array, p: float, out: Array) -> None:
    for i in range(len(a)):
        out[i] = numba_math.power(a[i], p)


def worst(got: Array, exact: Array) -> float:
    limits = np.finfo(got.dtype)
    size = abs(exact)
    normal = (size < limits.max) & (size > limits.tiny)
    unit = np.spacing(size[normal].astype(got.dtype)).astype(np.longdouble)
    return float(np.max(abs(got[normal] - exact[normal]) / unit))


def main() -> None:
    count = int(float(sys.argv[1] if len(sys.argv) > 1 else 3) * 1_000_000)
    rng = np.random.default_rng(0)
    for dtype, largest in (("float32", 87), ("float64", 708)):
        wide = [rng.uniform(-largest, largest, count), rng.normal(size=count)]
        near_one = [rng.uniform(0.5, 2, count), 1 + rng.normal(size=count) * 1e-3]
        around = np.concatenate(wide).astype(dtype)
        positive = np.concatenate([np.exp(rng.uniform(-80, 80, count)), *near_one]).astype(dtype)
        for name, exact in EXACT.items():
            a = positive if name == "log" else around
            got = np.empty_like(a)
            looped(getattr(numba_math, name))(a, got)
            with np.errstate(all="ignore"):
                print(dtype, name, f"{worst(got, exact(a.astype(np.longdouble))):.2f}")
        for p in map(np.dtype(dtype).type, EXPONENTS):
            reach = 80 / max(abs(p), 1)
            spread = np.exp(rng.uniform(-reach, reach, count))
            a = np.concatenate([spread, near_one[0]]).astype(dtype)
            got = np.empty_like(a)
            power_loop(a, p, got)
            exact_power = a.astype(np.longdouble) ** np.longdouble(p)
            print(dtype, f"pow {p:g}", f"{worst(got, exact_power):.2f}")


if __name__ == "__main__":
    main()
