"""With which arguments the operators are tested; one that is not listed, with its defaults."""

import numpy as np

PER_RANK = np.array([[0.5, 2.0, 0.25, 1.0], [3.0, 0.125, 0.75, 1.5]])
PER_POSITION = np.array([[0.5, 1.0, -0.25, 0.75], [-1.0, 0.25, 0.0, 1.5]])

SETTINGS = {
    "ada": [{}, {"beta": 0.0}, {"beta": np.array([0.25, 1.0])}],
    "auto": [{}, {"beta": np.array([-0.5, 2.0])}],
    "avg": [{}, {"count_include_pad": False}, {"divisor_override": -3}],
    "blur": [{}, {"weight": np.array([[0.5, 2.0, -0.25, 1.0], [3.0, 0.125, 0.75, 1.5]])}],
    "boltzmann": [{}, {"beta": -2.0}, {"beta": 0.0}, {"beta": np.array([0.5, 3.0])}],
    "dpp": [
        {},
        {"symmetric": False, "lambda_": 1.0},
        {"lambda_": np.array([-1.0, 0.75]), "alpha": np.array([-2.0, 1.5])},
    ],
    "dpp_guided": [{}, {"symmetric": False, "alpha": -1.0}],
    "erode": [{}, {"b": PER_POSITION}],
    "fuzzy": [{}, {"top": np.array([2.0, 4.0])}],
    "gated": [{}, {"gate": PER_POSITION}],
    "gaussian": [{}, {"eta": -2.0, "eps": 0.3}, {"eta": np.array([0.5, 3.0])}],
    "gem": [{}, {"p": 1.0}, {"p": np.array([0.5, 8.0])}, {"eps": 0.25}],
    "geometric": [{}, {"eps": 0.25}],
    "learned_norm": [{}, {"rho": -1.0, "center": 0.75}, {"rho": np.array([-3.0, 5.0])}],
    "lehmer": [{}, {"q": 2.5}, {"q": np.array([0.5, 3.0])}],
    "lp": [{}, {"p": 1.0}, {"p": 3.0}, {"p": 0.5}, {"p": np.array([1.5, 8.0])}],
    "lse": [{}, {"r": -2.0}, {"r": 0.0}, {"r": np.array([0.02, 10.0])}],
    "mixed": [{}, {"a": -0.5}, {"a": np.array([0.25, 1.0])}],
    "morph": [{}, {"b": PER_POSITION}],
    "ordinal": [{}, {"weight": PER_RANK}, {"form": "softmax"}],
    "power": [{}, {"alpha": 1.0}, {"alpha": 3.0}, {"alpha": np.array([-5.0, 0.98])}, {"eps": 0.25}],
    "power_weighted_max": [{}, {"exponent": PER_POSITION}],
    "rank_average": [{}, {"t": 1}, {"t": 3}],
    "rank_stochastic": [{}, {"a": np.array([0.25, 1.0])}, {"training": False, "a": 0.75}],
    "rank_weighted": [{}, {"a": np.array([0.25, 1.0])}, {"literal": True}],
    "soft": [{}, {"gradient": "detached"}],
    "stochastic": [{}, {"training": False}],
    "subsampling": [
        {"coefficient": np.array([0.5, -2.0]), "bias": np.array([1.0, 0.25])},
        {"squash": "sigmoid"},
        {"squash": "tanh", "coefficient": 0.75, "bias": -0.5},
    ],
    "t_max_avg": [{}, {"k": 3, "threshold": -1.0}, {"k": 3, "reached_by": "largest"}],
    "topk": [{}, {"k": 1}, {"k": 3}],
}


def spelled(settings):
    """Name settings in a test's id."""
    return "-".join(f"{key}={np.ravel(value).tolist()}" for key, value in settings.items()) or "own"
