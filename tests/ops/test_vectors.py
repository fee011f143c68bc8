"""Results that were computed by hand or by another program, to the digits they are known to."""

import pytest

from running import BACKENDS, along_a_line
from turns import but_for

WINDOWS = [
    (1.0, 2.0, 3.0, 4.0),
    (-1.0, 2.0, 3.0, -4.0),
    (0.0, 0.0, 0.0, 0.0),
    (2.0, 2.0, 2.0, 2.0),
    (0.0, 0.0, 0.0, 4.0),
]
VECTORS = {
    ("max", ()): [4, 3, 0, 2, 4],
    ("min", ()): [1, -4, 0, 2, 0],
    ("avg", ()): [2.5, 0, 0, 2, 1],
    ("median", ()): [2, -1, 0, 2, 0],
    ("sum", ()): [10, 0, 0, 8, 4],
    ("lp", (("p", 2.0),)): [5.47723, 5.47723, 0, 4, 4],
    ("lp", (("p", 3.0),)): [4.64159, 4.64159, 0, 3.1748, 4],
    ("boltzmann", (("beta", 0.5),)): [3.08458, 2.23295, 0, 2, 2.84494],
    ("soft", ()): [3.49265, 2.67737, 0, 2, 3.79166],
    ("boltzmann", (("beta", 1.0),)): [3.49265, 2.67737, 0, 2, 3.79166],
    ("boltzmann", (("beta", -2.0),)): [1.15518, -3.99254, 0, 2, 0.000447233],
    ("stochastic", (("training", False),)): [3, 2.6, 0, 2, 4],
    ("mixed", (("a", 0.5),)): [3.25, 1.5, 0, 2, 2.5],
    ("gem", (("p", 3.0),)): [2.92402, 2.06064, 1e-6, 2, 2.51984],
    ("lse", (("r", 1.0),)): [3.0539, 1.94093, 0, 2, 2.6672],
    ("lse", (("r", 10.0),)): [3.86138, 2.86138, 0, 2, 3.86137],
    ("lehmer", (("q", 1.0),)): [3, 2.6, 0, 2, 4],
    ("topk", (("k", 2),)): [3.5, 2.5, 0, 2, 2],
    ("mam", ()): [3, 7, 0, 2, 4],
    ("gaussian", (("eta", 1.0),)): [3.61803, 2.73861, 0.001, 2.001, 2.73205],
    ("auto", ()): [2.5, 0, 0, 2, 1],
    ("max_entropy", ()): [3.08458, 2.23295, 0, 2, 2.84494],
    # By hand from here on.
    ("range", ()): [3, 7, 0, 0, 4],
    ("product", ()): [24, 24, 0, 16, 0],
    ("noisy_or", ()): [1, 1, 0, 1, 1],
    # The root mean square, from 30, 30, 0, 16 and 16.
    ("learned_norm", ()): [2.73861, 2.73861, 0, 2, 2],
    # 24 ** (1/4), and with eps = 1/4 for what is below it 6 ** (1/4) / 2 and 1/2.
    ("geometric", (("eps", 0.25),)): [2.21336, 0.782542, 0.25, 2, 0.5],
    ("power", (("alpha", 1.0), ("eps", 0.25))): [2.21336, 0.782542, 0.25, 2, 0.5],
    # Harmonic: 48/25; with 1/4 for what is below 24/53, 16/49.
    ("power", (("alpha", 3.0), ("eps", 0.25))): [1.92, 0.45283, 0.25, 2, 0.326531],
    # All of the two largest reach 1, but for the last window; there their mean is 2.
    ("t_max_avg", (("threshold", 1.0),)): [4, 3, 0, 2, 2],
    ("t_max_avg", (("threshold", 1.0), ("reached_by", "largest"))): [4, 3, 0, 2, 4],
    # Sums of memberships: 3/2, 5/3, 2/3 (medium); 5/2, 4/3, 0; 4, 0, 0; 2, 4/3, 0; 3, 1/3, 2/3.
    ("fuzzy", ()): [3, -1.6, 0, 2, 0],
    # The binomial weights are (1, 3, 3, 1) / 8.
    ("edscw", ()): [2.57225, 0, 0, 2, 1.39183],
    ("idw", ()): [2.5, 2e-07, 0, 2, 0.4],
    ("ada", (("beta", 0.5),)): [3.03245, 1.33868, 0, 2, 2.59175],
    ("dpp", ()): [2.5, -0.190874, 0, 2, 1.46392],
    ("dpp", (("symmetric", False),)): [2.96616, 1.04619, 0, 2, 1.97903],
    ("rank_weighted", (("literal", True),)): [3.0625, 1.625, 0, 1.875, 2],
    ("rank_weighted", ()): [3.26667, 1.73333, 0, 2, 2.13333],
    ("rank_stochastic", (("training", False),)): [3.26667, 1.73333, 0, 2, 2.13333],
    ("rank_average", (("t", 2),)): [3.5, 2.5, 0, 2, 2],
    ("gated", (("gate", (0.1,) * 4),)): [3.59659, 1.5, 0, 2, 2.79606],
    ("gated", (("gate", (0.0,) * 4),)): [3.25, 1.5, 0, 2, 2.5],
    (
        "tree",
        (("leaf_1", (0.25,) * 4), ("leaf_2", (1.0, 0.0, 0.0, 0.0)), ("gate", (0.0,) * 4)),
    ): [1.75, -0.5, 0, 2, 0.5],
    # By hand.
    ("haar", ()): [5, 0, 0, 4, 2],
    ("subsampling", (("coefficient", 2.0), ("bias", 0.5))): [5.5, 0.5, 0.5, 4.5, 2.5],
    ("morph", (("b", (3.0, 0.0, 0.0, -1.0)),)): [4, 3, 3, 5, 3],
    ("erode", (("b", (3.0, 0.0, 0.0, -1.0)),)): [-2, -4, -3, -1, -3],
    ("position_weighted_max", (("weight", (1.0, 1.0, -1.0, 0.5)),)): [2, 2, 0, 2, 2],
    ("power_weighted_max", (("exponent", (1.0, 2.0, 1.0, 0.5)), ("epsilon", 1e-12))): [
        *(4, 4, 1e-6, 4, 2)
    ],
    ("ordinal", (("weight", (0.0, 1.0, 1.0, 2.0)),)): [1.75, -1.75, 0, 2, 0],
    # By hand: the binomial weights are (1, 3, 3, 1) / 8.
    ("blur", ()): [2.5, 1.25, 0, 2, 0.5],
    # Equal logits are the average.
    ("lip", (("logits", 7.0),)): [2.5, 0, 0, 2, 1],
}
CASES = [
    pytest.param(name, dict(settings), values, want, id=f"{name}-{settings}-{values}")
    for (name, settings), results in VECTORS.items()
    for values, want in zip(WINDOWS, results, strict=True)
]


# What compiles takes seconds for each operator and setting.
QUICK = [backend for backend in BACKENDS if backend != "numba_cpu"]


@pytest.mark.parametrize("backend", but_for(QUICK, BACKENDS))
@pytest.mark.parametrize(("name", "settings", "values", "want"), CASES)
def test_vector(backend, name, settings, values, want):
    got = along_a_line(name, values, settings).value(backend).item()
    assert f"{got + 0.0:.6g}" == f"{float(want):.6g}" or (want == 0 and abs(got) < 1e-15)
