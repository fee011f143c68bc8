"""Optimisers: what to do to the parameters, given their gradients."""

from __future__ import annotations

import math

import numpy as np

from flexpool.errors import ArgumentError, called, expected
from flexpool.numpy.layer import Array, Layer
from flexpool.window.arguments import checked_flag

__all__ = ["SGD", "Adam"]


class _Optimiser:
    """The base of the optimisers: ``step()`` after each backward pass.

    Attributes:
        net: whose parameters are changed, in place.
        lr: the learning rate; may be set between steps.
    """

    def __init__(self, net: Layer, lr: float, weight_decay: float) -> None:
        self._number("lr", lr, "> 0", lr > 0)
        self._number("weight_decay", weight_decay, ">= 0", weight_decay >= 0)
        self.net, self.lr, self.weight_decay = net, float(lr), float(weight_decay)

    def step(self) -> None:
        """Change every parameter once.

        Raises:
            ArgumentError: if a gradient is missing.
        """
        gradients = self.net.gradients
        for name, parameter in self.net.parameters.items():
            if name not in gradients:
                with called(f"{type(self).__name__}.step"):
                    raise ArgumentError(f"there is no gradient of {name!r}. Run backward first.")
            gradient = gradients[name]
            if self.weight_decay:
                gradient = gradient + self.weight_decay * parameter
            self._change(name, parameter, gradient)

    def _change(self, name: str, parameter: Array, gradient: Array) -> None:
        raise NotImplementedError

    def _number(self, name: str, value: float, domain: str, holds: bool) -> None:
        if isinstance(value, bool) or not math.isfinite(value) or not holds:
            with called(type(self).__name__):
                raise ArgumentError(expected(name, f"to be a finite number {domain}", value))


class SGD(_Optimiser):
    r"""Gradient descent, with momentum if wanted.

    $$ v \leftarrow \mu v + g, \qquad \theta \leftarrow \theta - \eta v, \qquad
       g = \frac{\partial L}{\partial\theta} + \lambda\theta $$

    Args:
        net: the layer or net to train.
        lr: $\eta$, a finite number > 0.
        momentum: $\mu$, a number in [0, 1). Default 0: plain descent, v = g.
        weight_decay: $\lambda$, a finite number >= 0. Default 0.
        nesterov: whether to step by $g + \mu v$ instead of $v$. Default False.

    Raises:
        ArgumentError: if an argument lies outside its domain.

    Example:
        >>> from flexpool.numpy import Linear, MSELoss
        >>> layer, loss = Linear(1, 1, bias=False), MSELoss()
        >>> layer.load_state_dict({"weight": [[1.0]]})
        >>> loss(layer(np.array([[2.0]])), np.array([[0.0]]))  # (2 w)^2, derivative 8 w
        4.0
        >>> _ = layer.backward(loss.backward())
        >>> SGD(layer, lr=0.125).step()
        >>> layer.parameters["weight"]
        array([[0.]], dtype=float32)
    """

    def __init__(
        self,
        net: Layer,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        self._number("momentum", momentum, "in [0, 1)", 0 <= momentum < 1)
        with called("SGD"):
            self.nesterov = checked_flag("nesterov", nesterov)
            if self.nesterov and not momentum:
                rule = "to be False where momentum is 0"
                raise ArgumentError(expected("nesterov", rule, nesterov))
        self.momentum = float(momentum)
        self.velocity: dict[str, Array] = {}

    def _change(self, name: str, parameter: Array, gradient: Array) -> None:
        step = gradient
        if self.momentum:
            if name not in self.velocity:
                self.velocity[name] = np.zeros_like(parameter)
            v = self.velocity[name]
            v *= self.momentum
            v += gradient
            step = gradient + self.momentum * v if self.nesterov else v
        parameter -= self.lr * step


class Adam(_Optimiser):
    r"""Descent whose steps are as long in every direction, whatever the size of the gradient.

    $$ m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
       v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
       \theta \leftarrow \theta - \eta\,
       \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} $$

    m and v are running means of the gradient and its square. Both begin at 0, so after t steps they
    are too small by the factors $1 - \beta^t$, which are divided out.

    Args:
        net: the layer or net to train.
        lr: $\eta$, a finite number > 0. Default 0.001.
        betas: $\beta_1$ and $\beta_2$, numbers in [0, 1). Default (0.9, 0.999).
        eps: $\epsilon$, a finite number > 0. Default 1e-8.
        weight_decay: $\lambda$, added to the gradient as $\lambda\theta$, a finite number >= 0.
            Default 0.

    Raises:
        ArgumentError: if an argument lies outside its domain.

    Example:
        >>> from flexpool.numpy import Linear
        >>> layer = Linear(1, 1, bias=False)
        >>> layer.load_state_dict({"weight": [[1.0]]})
        >>> _ = layer(np.array([[5.0]])), layer.backward(np.array([[7.0]]))
        >>> Adam(layer, lr=0.25).step()  # the first step is lr long, whatever the gradient
        >>> layer.parameters["weight"]
        array([[0.75]], dtype=float32)

    Reference:
        Kingma, Ba (2015), Adam: A method for stochastic optimization, ICLR, arXiv:1412.6980.
    """

    def __init__(
        self,
        net: Layer,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        for n, beta in enumerate(betas):
            self._number(f"betas[{n}]", beta, "in [0, 1)", 0 <= beta < 1)
        self._number("eps", eps, "> 0", eps > 0)
        self.betas, self.eps = betas, float(eps)
        self.steps = 0
        self.first: dict[str, Array] = {}
        self.second: dict[str, Array] = {}

    def step(self) -> None:
        """Change every parameter once."""
        self.steps += 1
        super().step()

    def _change(self, name: str, parameter: Array, gradient: Array) -> None:
        if name not in self.first:
            self.first[name], self.second[name] = (np.zeros_like(parameter) for _ in range(2))
        (one, two), m, v = self.betas, self.first[name], self.second[name]
        m *= one
        m += (1 - one) * gradient
        v *= two
        v += (1 - two) * gradient * gradient
        length = np.sqrt(v)
        length /= math.sqrt(1 - two**self.steps)
        length += self.eps
        parameter -= self.lr / (1 - one**self.steps) * m / length
