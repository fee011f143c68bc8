"""With which arguments the operators are tested; one that is not listed, with its defaults."""

import numpy as np

SETTINGS = {
    "avg": [{}, {"count_include_pad": False}, {"divisor_override": -3}],
    "blur": [{}, {"weight": np.array([[0.5, 2.0, -0.25, 1.0], [3.0, 0.125, 0.75, 1.5]])}],
    "boltzmann": [{}, {"beta": -2.0}, {"beta": 0.0}, {"beta": np.array([0.5, 3.0])}],
    "lp": [{}, {"p": 1.0}, {"p": 3.0}, {"p": 0.5}, {"p": np.array([1.5, 8.0])}],
    "mixed": [{}, {"a": -0.5}, {"a": np.array([0.25, 1.0])}],
    "stochastic": [{}, {"training": False}],
}


def spelled(settings):
    """Name settings in a test's id."""
    return "-".join(f"{key}={np.ravel(value).tolist()}" for key, value in settings.items()) or "own"
