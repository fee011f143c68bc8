"""Gradients by definition: change one number, see how the loss changes."""

import numpy as np

STEP = 1e-5


def numerical(loss, array):
    """Differentiate a function of no arguments with respect to every number of an array."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = loss()
        array[index] = kept - STEP
        gradient[index] = (above - loss()) / (2 * STEP)
        array[index] = kept
    return gradient


def check(layer, x, *arrays, seed=0):
    """Compare a layer's gradients, of its inputs and parameters, with differences; in float64."""
    layer.astype(np.float64)

    def forward():
        layer.reseed(seed)  # the same draws each time
        return layer(x, *arrays)

    weights = np.random.default_rng(1).normal(size=forward().shape)
    found = layer.backward(weights)
    found = found if isinstance(found, tuple) else (found,)
    own = {name: gradient.copy() for name, gradient in layer.gradients.items()}
    assert own.keys() == layer.parameters.keys()

    def loss():
        return float((forward() * weights).sum())

    compared = list(zip((x, *arrays), found, strict=True))
    compared += [(layer.parameters[name], own[name]) for name in own]
    for array, gradient in compared:
        assert gradient.shape == array.shape
        wanted = numerical(loss, array)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-7)
