"""What a layer is: it computes forward, remembers what it needs, and computes backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected, unknown

__all__ = ["Array", "Layer", "Sequential"]

Array = np.ndarray[Any, Any]


class Layer:
    r"""The base of all layers: a function with derivatives.

    A layer computes $y = f(x, \theta)$. ``backward`` is given $\partial L / \partial y$, the
    gradient of a loss with respect to its result, puts $\partial L / \partial\theta$ into
    ``gradients`` and returns $\partial L / \partial x$, which is the $\partial L / \partial y$ of
    the layer before.

    Attributes:
        parameters: the arrays $\theta$ that are trained, by name.
        gradients: the gradient of each, of the same shape; there after ``backward``.
        buffers: further arrays that belong to the layer's state.
        training: whether the net is being trained; dropout and batch normalisation look at it.
        wants_input_gradient: whether ``backward`` computes $\partial L / \partial x$. False for the
            first layer of a net, where nobody asks for it: convolutions and linear layers then
            return None and save that work. Default True.
    """

    def __init__(self) -> None:
        self._parameters: dict[str, Array] = {}
        self._gradients: dict[str, Array] = {}
        self._buffers: dict[str, Array] = {}
        self._remembered: tuple[tuple[int, ...], tuple[Any, ...]] | None = None
        self.training = True
        self.wants_input_gradient = True

    @property
    def parameters(self) -> dict[str, Array]:
        """The trained arrays by name; change them in place."""
        return self._parameters

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradients of the last backward pass, by the parameters' names."""
        return self._gradients

    @property
    def buffers(self) -> dict[str, Array]:
        """The arrays that are kept with the parameters and not trained."""
        return self._buffers

    def forward(self, x: Array) -> Array:
        """Compute the result, and remember what ``backward`` will need."""
        raise NotImplementedError

    def backward(self, grad_y: Array) -> Any:
        """Compute the gradients of the last forward pass.

        Args:
            grad_y: the loss's gradient with respect to the last result; of its shape.

        Returns:
            The loss's gradient with respect to x; of its shape.

        Raises:
            ArgumentError: if there was no forward pass.
            ShapeError: if ``grad_y`` has another shape than the result.
        """
        raise NotImplementedError

    def __call__(self, x: Array, *arrays: Array) -> Array:
        """Run ``forward``."""
        return self.forward(x, *arrays)

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers it is made of, with their names."""
        yield from ()

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield all layers inside, with names such as ``block1.conv``; a plain layer yields itself.

        Args:
            prefix: put before each name.
        """
        children = list(self.children())
        if not children:
            yield prefix, self
        for name, child in children:
            yield from child.layers(f"{prefix}.{name}" if prefix else name)

    def train(self, training: bool = True) -> Layer:
        """Say that the layer is being trained, or with False that it is used; return it."""
        for _, layer in self.layers():
            layer.training = training
        self.training = training
        return self

    def eval(self) -> Layer:
        """Say that the layer is used, not trained; return it."""
        return self.train(False)

    def reset_parameters(self, rng: Any = None) -> None:
        """Give the parameters their initial values again.

        Args:
            rng: what draws, anything with ``uniform(low, high, size)`` such as
                ``numpy.random.default_rng(0)``; None draws from fresh entropy.
        """

    def reseed(self, seed: int) -> None:
        """Start the random numbers of the layers that draw some, such as dropout, anew.

        Args:
            seed: an int >= 0; each layer gets a stream of its own.
        """
        for number, (_, layer) in enumerate(self.layers()):
            if hasattr(layer, "rng"):
                layer.rng = np.random.default_rng([seed, number])

    def astype(self, dtype: Any) -> Layer:
        """Convert parameters and buffers of floating point to a type; return the layer."""
        for _, layer in self.layers():
            for arrays in (layer._parameters, layer._buffers):
                for name, array in arrays.items():
                    if array.dtype.kind == "f":
                        arrays[name] = array.astype(dtype)
        return self

    def state_dict(self) -> dict[str, Array]:
        """Give parameters and buffers by name, the names PyTorch gives them; no copies."""
        return {
            f"{prefix}.{name}" if prefix else name: array
            for prefix, layer in self.layers()
            for name, array in {**layer._parameters, **layer._buffers}.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters and buffers.

        Args:
            state: arrays by name: all names of ``state_dict()`` and no others, equal shapes.

        Raises:
            ArgumentError: if a name is missing or unknown.
            ShapeError: if an array has another shape than the layer's.
        """
        own = self.state_dict()
        with called("load_state_dict"):
            for name in state:
                if name not in own:
                    raise unknown("array", name, own)
            for name, array in own.items():
                if name not in state:
                    raise ArgumentError(expected("state", f"to hold {name!r}", list(state)))
                value = np.asarray(state[name])
                if value.shape != array.shape:
                    raise ShapeError(expected(name, f"to be of shape {array.shape}", value.shape))
            for name, array in own.items():
                array[...] = state[name]

    def extra_repr(self) -> str:
        """Say what tells the layer from others of its class."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def _remember(self, y: Array, *things: Any) -> Array:
        """Keep for the backward pass the shape of the result and whatever else it takes."""
        self._remembered = (y.shape, things)
        return y

    def _recall(self, grad_y: Array) -> tuple[Any, ...]:
        """Return what the last forward pass kept, after a look at the gradient's shape."""
        with called(f"{type(self).__name__}.backward"):
            if self._remembered is None:
                raise ArgumentError("there was no forward pass. Call forward first.")
            shape, things = self._remembered
            if not isinstance(grad_y, np.ndarray):
                raise DtypeError(expected("grad_y", "to be a NumPy array", grad_y))
            if grad_y.shape != shape:
                rule = f"to have the shape {shape} of the result"
                raise ShapeError(expected("grad_y", rule, grad_y.shape))
            return things

    def _check(self, x: Any, axes: str, **sizes: int) -> None:
        """Check that x is an array with these axes, such as "NCHW", some of known sizes."""
        with called(type(self).__name__):
            if not isinstance(x, np.ndarray):
                raise DtypeError(expected("x", "to be a NumPy array", x))
            known = {axis: str(sizes.get(axis, axis)) for axis in axes}
            given = dict(zip(axes, x.shape, strict=False))
            if x.ndim != len(axes) or any(given[axis] != size for axis, size in sizes.items()):
                rule = f"to have the shape ({', '.join(known.values())})"
                raise ShapeError(expected("x", rule, x.shape))


class Sequential(Layer):
    r"""Layers one after the other: $y = f_n(\dots f_2(f_1(x)))$.

    By the chain rule, $\partial L / \partial x$ is what comes out when $\partial L / \partial y$
    goes backward through the layers, last layer first.

    Args:
        layers: layers, which then have the names 0, 1, 2, ...; or one dict of layers by name.

    Raises:
        ArgumentError: if one is no layer.

    Example:
        >>> from flexpool.numpy import Linear, ReLU
        >>> net = Sequential(Linear(2, 3), ReLU())
        >>> net(np.zeros((5, 2), np.float32)).shape, list(net.parameters)
        ((5, 3), ['0.weight', '0.bias'])
    """

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        by_name = len(layers) == 1 and isinstance(layers[0], Mapping)
        named = layers[0] if by_name else {str(n): layer for n, layer in enumerate(layers)}
        for name, layer in named.items():
            if not isinstance(layer, Layer):
                with called("Sequential"):
                    raise ArgumentError(expected(f"layer {name}", "to be a Layer", layer))
        self._layers: dict[str, Layer] = dict(named)

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers in order, with their names."""
        yield from self._layers.items()

    def __getitem__(self, name: str | int) -> Layer:
        return self._layers[name] if isinstance(name, str) else [*self._layers.values()][name]

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def parameters(self) -> dict[str, Array]:
        """The trained arrays of all layers, as ``conv1.weight``."""
        return self._of_all("parameters")

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradients of all layers, as ``conv1.weight``."""
        return self._of_all("gradients")

    @property
    def buffers(self) -> dict[str, Array]:
        """The buffers of all layers, as ``norm.running_mean``."""
        return self._of_all("buffers")

    def _of_all(self, kind: str) -> dict[str, Array]:
        return {
            f"{prefix}.{name}": array
            for prefix, layer in self.layers()
            for name, array in getattr(layer, kind).items()
        }

    def forward(self, x: Array) -> Array:
        """Run the layers in order.

        Shape:
            that of the first layer's x -> that of the last layer's result.
        """
        for layer in self._layers.values():
            x = layer.forward(x)
        return x

    def backward(self, grad_y: Array) -> Any:
        """Go through the layers backward; the layers' gradients are then in ``gradients``."""
        for layer in reversed(self._layers.values()):
            grad_y = layer.backward(grad_y)
        return grad_y

    def shapes(self, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
        """Tell the shape after each layer.

        Args:
            shape: that of an input, batch first; zeros of that shape are sent through the net.

        Example:
            >>> from flexpool.numpy import Conv2d, Flatten
            >>> Sequential(Conv2d(1, 6, 5), Flatten()).shapes((1, 1, 28, 28))
            [('0', (1, 6, 24, 24)), ('1', (1, 3456))]
        """
        x, found = np.zeros(shape, np.float32), []
        for name, layer in self._layers.items():
            x = layer.forward(x)
            found.append((name, x.shape))
        return found

    def __repr__(self) -> str:
        lines = [f"  {name}: {layer!r}".replace("\n", "\n  ") for name, layer in self.children()]
        return "\n".join(["Sequential(", *lines, ")"])
