"""The receptive field of a chain of layers: which part of the input one output depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flexpool.errors import ArgumentError, expected
from flexpool.window.arguments import Pairs, checked_sizes
from flexpool.window.sliding import Window

__all__ = ["ReceptiveField", "receptive_fields"]


@dataclass(frozen=True)
class ReceptiveField:
    """Describe the input region that one output depends on, per dimension.

    Args:
        size: elements from the first to the last input that matters.
        jump: distance in the input of the regions of neighbouring outputs.
        start: input coordinate where the region of the first output starts, negative in padding.
    """

    size: tuple[int, ...]
    jump: tuple[int, ...]
    start: tuple[int, ...]

    @property
    def centre(self) -> tuple[float, ...]:
        """Give the input coordinate in the middle of the first output's region."""
        both = zip(self.start, self.size, strict=True)
        return tuple(start + (size - 1) / 2 for start, size in both)


def receptive_fields(
    layers: Sequence[Window], sizes: Sequence[int] | None = None
) -> tuple[ReceptiveField, ...]:
    r"""Follow size, jump and start of the receptive field through a chain of layers.

    $$ r_l = r_{l-1} + (e_l - 1)\,j_{l-1}, \qquad j_l = s_l\,j_{l-1}, \qquad
       a_l = a_{l-1} - p_l\,j_{l-1} $$

    from r = j = 1 and a = 0, with size r, jump j, start a, and of layer l the effective kernel e,
    the stride s and the padding p before.

    Args:
        layers: windows of convolutions and poolings, first layer first, of equal dimensions.
        sizes: the spatial sizes of the chain's input. Needed where a layer has padding="same",
            else optional: then it is checked that every layer fits what the one before gives.

    Returns:
        One ReceptiveField per layer: of the layer's output with respect to the chain's input.

    Raises:
        ArgumentError: if there is no layer, one is not a Window or differs in dimensions from the
            first, or sizes is missing.
        ShapeError: if sizes is given and does not fit.

    Example:
        >>> from flexpool.window import window
        >>> convolution, pooling = window(1, 5, stride=1), window(1, 2)     # LeNet-5, 32 x 32
        >>> fields = receptive_fields([convolution, pooling, convolution, pooling])
        >>> [field.size[0] for field in fields], fields[-1].jump, fields[-1].centre
        ([5, 6, 14, 16], (4,), (7.5,))

    Reference:
        Araujo, Norris, Sim (2019), Computing Receptive Fields of Convolutional Neural Networks,
        Distill, https://distill.pub/2019/computing-receptive-fields.
    """
    dimensions = _common_dimensions(layers)
    field = ReceptiveField((1,) * dimensions, (1,) * dimensions, (0,) * dimensions)
    current = None if sizes is None else checked_sizes(sizes, dimensions)
    fields = []
    for layer in layers:
        field = _through(layer, _known_padding(layer, current), field)
        fields.append(field)
        current = None if current is None else layer.output_shape(current)
    return tuple(fields)


def _common_dimensions(layers: Sequence[Window]) -> int:
    windows = isinstance(layers, tuple | list) and all(isinstance(a, Window) for a in layers)
    if not windows or len({layer.dimensions for layer in layers}) != 1:
        rule = "to be one or more Windows of the same number of dimensions"
        raise ArgumentError(
            expected("layers", rule, layers, "Make each with window(dimensions, ...).")
        )
    return layers[0].dimensions


def _known_padding(layer: Window, sizes: Sequence[int] | None) -> Pairs:
    if sizes is not None:
        return layer.padding_at(sizes)
    if layer.padding == "same":
        rule = "to be given where a layer has padding='same'"
        instead = "Give the spatial sizes of the chain's input."
        raise ArgumentError(expected("sizes", rule, None, instead))
    return layer.padding


def _through(layer: Window, padding: Pairs, field: ReceptiveField) -> ReceptiveField:
    grown = zip(field.size, field.jump, layer.effective_kernel, strict=True)
    moved = zip(field.start, field.jump, padding, strict=True)
    return ReceptiveField(
        size=tuple(size + (kernel - 1) * jump for size, jump, kernel in grown),
        jump=tuple(jump * stride for jump, stride in zip(field.jump, layer.stride, strict=True)),
        start=tuple(start - before * jump for start, jump, (before, _) in moved),
    )
