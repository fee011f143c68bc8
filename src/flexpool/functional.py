"""Pooling as functions: :func:`pool` with any operator, and one function per operator.

All take NumPy arrays and PyTorch tensors, (N, C, *sizes) or (C, *sizes), and give back the same.
With ``axes`` they take arrays of any axes, such as an image (H, W, colours) with ``axes=(0, 1)``.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpool import calls, numpy_ops
from flexpool.backends import dask_blocks
from flexpool.backends.task import AnyWindow
from flexpool.declare import OnInput, OnOutput, Operator, Random, as_operator, operators
from flexpool.errors import (
    ArgumentError,
    DtypeError,
    FlexpoolError,
    ShapeError,
    called,
    expected,
)
from flexpool.leaves import as_seed
from flexpool.window import window

__all__ = [
    "adaptive_pool",
    "apply",
    "apply_backward",
    "apply_with_indices",
    "function_of",
    "global_pool",
    "pool",
    "pool_backward",
]

# Who is asked first, once it is loaded: an import statement takes a tenth of a small call.
_QUICK = "flexpool.torch_quick"
_NONE = (None,) * 8


def pool(
    x: Any,
    operator: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    dimensions: int | None = None,
    axes: tuple[int, ...] | None = None,
    seed: Any = None,
    backend: str = "auto",
    **parameters: Any,
) -> Any:
    """Pool with any operator.

    Args:
        x: NumPy array or tensor; or a dask array, which is pooled block by block when it is
            computed.
        operator: a name, an operator or your own formula, a function of a window's values.
        kernel_size: elements of the window per dimension: an int, or a tuple with one each.
        stride: distance of neighbouring windows; None for kernel_size.
        padding: how far windows may reach over the edge: an int, one per dimension, pairs (before,
            after), or "same". What lies outside is absent. Default 0.
        dilation: distance of neighbouring elements of a window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        dimensions: number of spatial dimensions; default: the length of kernel_size, or all axes of
            x but the first two, or the number of axes.
        axes: the axes that windows slide over, in the order of kernel_size; x may then have any
            others, of which the last is the channels' for operators with a number per channel.
            Default None: the last ones.
        seed: of the random numbers, an int; None draws one. Only for random operators.
        backend: "auto", "numba", "triton", "eager" or "interpret".
        parameters: the operator's arguments.

    Shape:
        (N, C, *sizes) -> (N, C, *output sizes); without N alike. With axes any shape, of which the
        sizes of these axes change.

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.
        TraceError: if your own formula cannot be traced.
        BackendUnavailable: if a backend was asked for that cannot run here.

    Note:
        NumPy arrays of whole numbers keep their type where results are values of the window, as of
        max, min and median; a window without any element then gives the type's smallest number for
        max, its largest for min. All other operators compute and give float64, as NumPy's mean.

    Example:
        >>> image = np.array([[[10, 0], [20, 1]], [[30, 2], [40, 3]]], np.uint8)  # two colours
        >>> pool(image, "max", 2, axes=(0, 1))
        array([[[40,  3]]], dtype=uint8)
        >>> pool(np.array([[[1.0, 2.0, 5.0, 3.0]]]), lambda x: x.max() - x.min(), 2)
        array([[[1., 2.]]])
    """
    quick = sys.modules.get(_QUICK)
    where = (kernel_size, stride, padding, dilation, ceil_mode)
    if quick is not None and axes is None and seed is None:
        y = quick.sliding(x, operator, dimensions, backend, where, parameters)
        if y is not None:
            return y
    with called("pool"):
        return _sliding_over(x, operator, where, dimensions, axes, seed, backend, parameters)


def adaptive_pool(
    x: Any,
    operator: Any,
    output_size: Any,
    *,
    dimensions: int | None = None,
    axes: tuple[int, ...] | None = None,
    seed: Any = None,
    backend: str = "auto",
    **parameters: Any,
) -> Any:
    """Pool into a given number of parts.

    Args:
        x, operator, dimensions, axes, seed, backend, parameters: as for :func:`pool`.
        output_size: parts per dimension: an int, None for as many as the input has elements, or a
            tuple with one of these each.

    Shape:
        (N, C, *sizes) -> (N, C, *output_size); without N alike.

    Raises:
        ArgumentError, ShapeError, DtypeError, TraceError, BackendUnavailable: as :func:`pool`.

    Example:
        >>> adaptive_pool(np.array([[[1.0, 2.0, 5.0, 3.0]]]), "max", 1)
        array([[[5.]]])
    """
    quick = sys.modules.get(_QUICK)
    if quick is not None and axes is None and seed is None:
        y = quick.adaptive(x, operator, dimensions, backend, output_size, parameters)
        if y is not None:
            return y
    with called("adaptive_pool"):
        return _adaptive_over(x, operator, output_size, dimensions, axes, seed, backend, parameters)


def global_pool(
    x: Any,
    operator: Any,
    *,
    dimensions: int | None = None,
    axes: tuple[int, ...] | None = None,
    seed: Any = None,
    backend: str = "auto",
    **parameters: Any,
) -> Any:
    """Pool over the whole map.

    Args:
        x, operator, dimensions, axes, seed, backend, parameters: as for :func:`pool`.

    Shape:
        (N, C, *sizes) -> (N, C, 1, ...); without N alike.

    Raises:
        ArgumentError, ShapeError, DtypeError, TraceError, BackendUnavailable: as :func:`pool`.

    Example:
        >>> global_pool(np.array([[[1.0, 2.0, 5.0, 4.0]]]), "avg")
        array([[[3.]]])
    """
    quick = sys.modules.get(_QUICK)
    if quick is not None and axes is None and seed is None:
        y = quick.adaptive(x, operator, dimensions, backend, 1, parameters)
        if y is not None:
            return y
    with called("global_pool"):
        return _adaptive_over(x, operator, 1, dimensions, axes, seed, backend, parameters)


def pool_backward(
    grad_y: Any,
    x: Any,
    operator: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    wanted: tuple[str, ...] = ("x",),
    dimensions: int | None = None,
    axes: tuple[int, ...] | None = None,
    seed: Any = None,
    backend: str = "auto",
    **parameters: Any,
) -> dict[str, Any]:
    """Compute the gradients of a loss from its gradient with respect to the result.

    Args:
        grad_y: the loss's gradient with respect to ``pool(x, ...)``.
        x, operator, kernel_size, ..., parameters: as for :func:`pool`; x is floating point.
        wanted: what to differentiate with respect to: "x" and names of arguments.
        seed: as given to :func:`pool`; a random operator needs it here.

    Returns:
        the gradients by name, each of the shape of what it belongs to, () for a number.

    Raises:
        ArgumentError, ShapeError, DtypeError, TraceError, BackendUnavailable: as :func:`pool`.

    Example:
        >>> x = np.array([[[1.0, 2.0, 5.0, 3.0]]])
        >>> pool_backward(np.array([[[1.0, 10.0]]]), x, "max", 2)["x"]
        array([[[ 0.,  1., 10.,  0.]]])
    """
    with called("pool_backward"):
        where = (kernel_size, stride, padding, dilation, ceil_mode)
        ops = _library_of(x)
        shape: Any = None
        if axes is not None:
            shape = _Arranged.of(x, axes, dimensions)
            dimensions, x = shape.dimensions, shape.arranged(x)
            grad_y = shape.arranged(grad_y) if _is_array(grad_y) else grad_y
            parameters = shape.parameters(operator, parameters)
        count = _dimensions(x, dimensions, kernel_size)
        plain, arrays = _sorted(operator, parameters)
        spec = calls.sliding_spec(operator, count, where, plain, tuple(arrays), backend)
        names = calls.checked_wanted(spec, tuple(wanted), seed)
        _check_gradient(grad_y, x, calls.shapes(spec, tuple(x.shape[-count:]))[1])
        gradients: dict[str, Any] = ops.pool_backward(grad_y, x, spec, arrays, seed, names)
        return gradients if shape is None else shape.gradients(operator, gradients)


def apply(
    x: Any,
    operator: Operator,
    window: AnyWindow,
    *,
    options: Mapping[str, Any],
    values: Mapping[str, Any],
    seed: Any = None,
    backend: str = "auto",
) -> Any:
    """Pool with a window made before; what modules call. The caller adds the name to errors.

    Args:
        x: (N, C, *sizes) or (C, *sizes).
        operator: the operator.
        window: of either kind.
        options: values of options.
        values: numbers or arrays for the other arguments.
        seed, backend: as for :func:`pool`.
    """
    _check_axes(x, window.dimensions)
    ops = _library_of(x)
    plain, arrays = _sorted(operator, {**options, **values})
    spec = calls.spec(operator, window, ops.settled(plain), tuple(arrays), backend)
    return ops.pool(x, spec, arrays, seed)


def apply_backward(
    grad_y: Any,
    x: Any,
    operator: Operator,
    window: AnyWindow,
    wanted: tuple[str, ...],
    *,
    options: Mapping[str, Any],
    values: Mapping[str, Any],
    seed: Any = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """Compute the gradients of :func:`apply`; the caller adds the name to errors.

    Args:
        grad_y: the loss's gradient with respect to the result.
        x, operator, window, options, values, seed, backend: as for :func:`apply`.
        wanted: what to differentiate with respect to: "x" and names of arguments.

    Returns:
        the gradients by name, as of :func:`pool_backward`.
    """
    _check_axes(x, window.dimensions)
    ops = _library_of(x)
    plain, arrays = _sorted(operator, {**options, **values})
    spec = calls.spec(operator, window, ops.settled(plain), tuple(arrays), backend)
    names = calls.checked_wanted(spec, wanted, seed)
    _check_gradient(grad_y, x, calls.shapes(spec, tuple(x.shape[-window.dimensions :]))[1])
    gradients: dict[str, Any] = ops.pool_backward(grad_y, x, spec, arrays, seed, names)
    return gradients


def apply_with_indices(
    x: Any, operator: Operator, window: AnyWindow, *, backend: str = "auto"
) -> tuple[Any, Any]:
    """Pool with max or min, and give the flat index in the input plane of each result too.

    Args:
        x, operator, window, backend: as for :func:`apply`.

    Returns:
        the result, and int64 indices as torch's ``return_indices`` gives them.
    """
    _check_axes(x, window.dimensions)
    spec = calls.spec(operator, window, (), (), backend)
    return _pool_with_indices(x, spec)


def _pool_with_indices(x: Any, spec: str) -> tuple[Any, Any]:
    quick = sys.modules.get(_QUICK)
    found: tuple[Any, Any] | None = None
    if quick is not None:
        found = quick.pool_with_indices(x, spec)
    if found is None:
        found = _library_of(x).pool_with_indices(x, spec)
    return found


@dataclass(frozen=True)
class _Arranged:
    """How an array of any axes becomes one of (N, C, *sizes), and back.

    Attributes:
        order: all axes of the array: those that windows do not slide over, then the others.
        rest: the sizes of the former.
        dimensions: the number of the latter.
    """

    order: tuple[int, ...]
    rest: tuple[int, ...]
    dimensions: int

    @classmethod
    def of(cls, x: Any, axes: Any, dimensions: int | None) -> _Arranged:
        """Check the axes."""
        items = axes if isinstance(axes, tuple | list) else (axes,)
        ints = [a for a in items if isinstance(a, int | np.integer) and not isinstance(a, bool)]
        if len(ints) == len(items):
            slid = tuple(int(a) % x.ndim for a in ints if -x.ndim <= a < x.ndim)
            if items and len(set(slid)) == len(items):
                if dimensions not in (None, len(slid)):
                    rule = f"to be left out or {len(slid)}, the number of axes"
                    raise ArgumentError(expected("dimensions", rule, dimensions))
                others = tuple(a for a in range(x.ndim) if a not in slid)
                rest = tuple(x.shape[a] for a in others)
                return cls((*others, *slid), rest, len(slid))
        rule = f"to name different axes of x, ints from {-x.ndim} to {x.ndim - 1}"
        raise ArgumentError(expected("axes", rule, axes))

    def arranged(self, array: Any) -> Any:
        """Bring an array of these axes into the shape (N, C, *sizes)."""
        if array.ndim != len(self.order):
            rule = f"to have {len(self.order)} axes as x"
            raise ShapeError(expected("the array", rule, tuple(array.shape)))
        moved = _transposed(array, self.order)
        sizes = tuple(moved.shape[len(self.rest) :])
        if len(self.rest) == 2:
            return moved
        if len(self.rest) < 2:
            return moved[None] if self.rest else moved[None, None]
        return moved.reshape(math.prod(self.rest[:-1]), self.rest[-1], *sizes)

    def parameters(self, operator: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Arrange the arguments that have the axes of x, those bound to the operator too."""
        bound = calls.bound_arrays(operator) if isinstance(operator, Operator) else ()
        given = {**dict(bound), **parameters}
        return {
            n: self.arranged(v) if n in _spread(operator) and _is_array(v) else v
            for n, v in given.items()
        }

    def back(self, y: Any) -> Any:
        """Bring a result into the order of the axes of x."""
        y = y.reshape(*self.rest, *y.shape[y.ndim - self.dimensions :])
        return _transposed(y, tuple(int(a) for a in np.argsort(self.order)))

    def gradients(self, operator: Any, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Bring gradients into the order of the axes of what they belong to."""
        spread = {"x", *_spread(operator)}
        return {n: self.back(g) if n in spread else g for n, g in gradients.items()}


def _transposed(array: Any, order: tuple[int, ...]) -> Any:
    return array.permute(order) if _is_tensor(array) else array.transpose(order)


def _spread(operator: Any) -> set[str]:
    """Name the arguments that are arrays of the input's or the output's shape."""
    arguments = as_operator(operator).arguments.items()
    return {name for name, argument in arguments if isinstance(argument, OnInput | OnOutput)}


def _sliding_over(
    x: Any,
    operator: Any,
    where: tuple[Any, ...],
    dimensions: int | None,
    axes: Any,
    seed: Any,
    backend: str,
    parameters: dict[str, Any],
    indices: bool = False,
) -> Any:
    if dask_blocks.is_dask(x):
        return _blockwise(x, operator, where, dimensions, axes, seed, backend, parameters, indices)
    if axes is None:
        return _sliding(x, operator, where, dimensions, seed, backend, parameters, indices)
    _library_of(x)
    shape = _Arranged.of(x, axes, dimensions)
    found = _sliding(
        shape.arranged(x),
        operator,
        where,
        shape.dimensions,
        seed,
        backend,
        shape.parameters(operator, parameters),
        indices,
    )
    return tuple(map(shape.back, found)) if indices else shape.back(found)


def _adaptive_over(
    x: Any,
    operator: Any,
    output_size: Any,
    dimensions: int | None,
    axes: Any,
    seed: Any,
    backend: str,
    parameters: dict[str, Any],
) -> Any:
    if dask_blocks.is_dask(x):
        rule = "to be a NumPy array or a tensor where windows depend on its size"
        instead = "Use pool, or give a block that fits into memory: x.compute()."
        raise DtypeError(expected("x", rule, x, instead))
    if axes is None:
        return _adaptive(x, operator, output_size, dimensions, seed, backend, parameters)
    _library_of(x)
    shape = _Arranged.of(x, axes, dimensions)
    inner = shape.parameters(operator, parameters)
    arguments = (operator, output_size, shape.dimensions, seed, backend, inner)
    return shape.back(_adaptive(shape.arranged(x), *arguments))


def _blockwise(
    x: Any,
    operator: Any,
    where: tuple[Any, ...],
    dimensions: int | None,
    axes: Any,
    seed: Any,
    backend: str,
    parameters: dict[str, Any],
    indices: bool,
) -> Any:
    """Say how to pool a dask array; each block is pooled when it is computed."""
    chosen = as_operator(operator)
    if axes is None:
        count = _dimensions(x, dimensions, where[0])
        axes = tuple(range(x.ndim - count, x.ndim))
    shape = _Arranged.of(x, axes, dimensions)
    plain, arrays = _sorted(chosen, parameters)
    for name in arrays:
        rule = "to be a number where x is a dask array"
        raise ArgumentError(expected(name, rule, f"an array of shape {arrays[name].shape}"))
    slid = window(shape.dimensions, *where)
    spec = calls.spec(chosen, slid, plain, (), backend)  # refuses here what does not fit
    known = calls.facts(spec)
    if indices or known.draws:
        what = "indices" if indices else "random numbers"
        rule = f"to be a NumPy array where {what} count the windows of the whole array"
        raise DtypeError(expected("x", rule, x, "Pool x.compute(), or leave them out."))
    as_seed(seed, known)

    def run(block: Any, window: AnyWindow) -> Any:
        here = _Arranged.of(block, axes, None)
        call: dict[str, Any] = {"options": parameters, "values": {}, "backend": backend}
        return here.back(apply(here.arranged(block), chosen, window, **call))

    slid_axes = shape.order[len(shape.rest) :]
    dtype = numpy_ops.result_type(x.dtype, known.selects)
    return dask_blocks.pool(x, slid, slid_axes, run, dtype)


def _sliding(
    x: Any,
    operator: Any,
    where: tuple[Any, ...],
    dimensions: int | None,
    seed: Any,
    backend: str,
    parameters: dict[str, Any],
    indices: bool = False,
) -> Any:
    ops = _library_of(x)
    count = _dimensions(x, dimensions, where[0])
    plain, arrays = _sorted(operator, parameters)
    where, plain = ops.settled((where, plain))
    spec = calls.sliding_spec(operator, count, where, plain, tuple(arrays), backend)
    if indices:
        return _pool_with_indices(x, spec)
    return ops.pool(x, spec, arrays, seed)


def _adaptive(
    x: Any,
    operator: Any,
    output_size: Any,
    dimensions: int | None,
    seed: Any,
    backend: str,
    parameters: dict[str, Any],
) -> Any:
    ops = _library_of(x)
    count = _dimensions(x, dimensions, output_size)
    plain, arrays = _sorted(operator, parameters)
    size, plain = ops.settled((output_size, plain))
    spec = calls.adaptive_spec(operator, count, size, plain, tuple(arrays), backend)
    return ops.pool(x, spec, arrays, seed)


def _check_gradient(grad_y: Any, x: Any, outputs: tuple[int, ...]) -> None:
    if _library_of(grad_y) is not _library_of(x):
        raise DtypeError(expected("grad_y", "to be an array of the same library as x", grad_y))
    shape = (*x.shape[: x.ndim - len(outputs)], *outputs)
    if tuple(grad_y.shape) != shape:
        rule = f"to have the shape {shape} of the result"
        raise ShapeError(expected("grad_y", rule, tuple(grad_y.shape)))


def _is_tensor(item: object) -> bool:
    """Tell whether something is a tensor, without loading PyTorch for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(item, torch.Tensor)


def _library_of(x: object) -> Any:
    if isinstance(x, np.ndarray):
        return numpy_ops
    if _is_tensor(x):
        from flexpool import torch_calls, torch_quick  # noqa: F401 - asked from the next call on

        return torch_calls
    raise DtypeError(expected("x", "to be a NumPy array or a PyTorch tensor", x))


def _is_array(item: object) -> bool:
    return isinstance(item, np.ndarray) or _is_tensor(item)


def _sorted(
    operator: Any, parameters: Mapping[str, Any]
) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Tell numbers and options from arrays; arrays bound to the operator are among these."""
    bound = calls.bound_arrays(operator) if isinstance(operator, Operator) else ()
    plain = tuple((n, v) for n, v in parameters.items() if not _is_array(v))
    arrays = {n: v for n, v in parameters.items() if _is_array(v)}
    for name, array in bound:
        if name not in parameters:
            arrays[name] = array
    return plain, arrays


def _dimensions(x: Any, dimensions: int | None, per_dimension: Any) -> int:
    if dimensions is None:
        whole = isinstance(per_dimension, tuple | list)
        dimensions = len(per_dimension) if whole else x.ndim - 2
    count = int(dimensions)
    _check_axes(x, count)
    return count


def _check_axes(x: Any, dimensions: int) -> None:
    if not hasattr(x, "ndim"):
        raise DtypeError(expected("x", "to be a NumPy array or a PyTorch tensor", x))
    if dimensions < 1 or x.ndim not in (dimensions + 1, dimensions + 2):
        sizes = ", ".join("LHW"[-dimensions:]) if 1 < dimensions < 4 else "*sizes"
        rule = f"to have the axes (N, C, {sizes}) or (C, {sizes})"
        instead = "Give dimensions, or reshape x."
        raise ShapeError(expected("x", rule, tuple(x.shape), instead))


@functools.cache
def function_of(name: str) -> Callable[..., Any]:
    """Make the function of an operator that ships, such as ``soft_pool``, or return it.

    Raises:
        ArgumentError: if there is no such operator.

    Example:
        >>> function_of("soft").__name__
        'soft_pool'
    """
    operator = as_operator(name)
    own = f"{name}_pool"
    is_random = any(isinstance(a, Random) for a in operator.arguments.values())
    with_indices = name == "max"

    def general(
        x: Any,
        where: tuple[Any, ...],
        *,
        dimensions: int | None = None,
        axes: tuple[int, ...] | None = None,
        seed: Any = None,
        backend: str = "auto",
        return_indices: bool = False,
        **parameters: Any,
    ) -> Any:
        quick = sys.modules.get(_QUICK)
        if quick is not None and axes is None and seed is None and not return_indices:
            y = quick.sliding(x, operator, dimensions, backend, where, parameters)
            if y is not None:
                return y
        with called(own):
            if return_indices and not with_indices:
                parameters["return_indices"] = return_indices  # refused as any unknown argument
            return _sliding_over(
                x, operator, where, dimensions, axes, seed, backend, parameters, return_indices
            )

    def function(
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        **more: Any,
    ) -> Any:
        quick = sys.modules.get(_QUICK)
        if quick is None or more or quick.is_compiling():
            return general(x, (kernel_size, stride, padding, dilation, ceil_mode), **more)
        # To look up who pools takes as long as PyTorch's pooling of a small tensor. What equals an
        # argument is not it: padding=False is an error.
        kind, axes, size, step, amount, distance, mode, pool = quick.RECENT.get(own, _NONE)
        if (
            type(x) is kind
            and kernel_size is size
            and stride is step
            and padding is amount
            and dilation is distance
            and ceil_mode is mode
            and x.ndim == axes
        ):
            try:
                y = pool(x)
            except FlexpoolError:  # general() words it, with the function's name
                y = None
            if y is not None:
                return y
        where = (kernel_size, stride, padding, dilation, ceil_mode)
        pool = quick.alone(x, operator, where)
        if pool is not None:
            quick.RECENT[own] = (type(x), x.ndim, *where, pool)
        return general(x, where)

    function.__name__ = function.__qualname__ = own
    function.__module__ = "flexpool"
    function.__doc__ = operator.doc
    function.__signature__ = _signature(operator, is_random, with_indices)  # type: ignore[attr-defined]
    return function


def _signature(operator: Operator, is_random: bool, with_indices: bool) -> inspect.Signature:
    """Write the signature of an operator's function: the window, then the operator's arguments."""
    parameter, keyword = inspect.Parameter, inspect.Parameter.KEYWORD_ONLY
    shared = list(inspect.signature(pool).parameters.values())
    window = [p for p in shared if p.kind is parameter.POSITIONAL_OR_KEYWORD]
    own = [
        parameter(n, keyword, default=parameter.empty if a.required else a.default)
        for n, a in operator.arguments.items()
        if not isinstance(a, Random)
    ]
    left_out = {} if is_random else {"seed"}
    rest = [p for p in shared if p.kind is keyword and p.name not in left_out]
    indices = [parameter("return_indices", keyword, default=False)] if with_indices else []
    taken = [p for p in window if p.name != "operator"]
    return inspect.Signature([*taken, *own, *indices, *rest])


def function_names() -> list[str]:
    """List the names of the operators' functions."""
    return [f"{name}_pool" for name in operators()]
