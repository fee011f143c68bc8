"""Recipes: what to compare, and how to train it. One TOML file is one frozen dataclass."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from flexpool.errors import ArgumentError, called, expected, unknown
from flexpool.lab.data import registry
from flexpool.lab.options import (
    FRAMEWORKS,
    INITIALISATIONS,
    OPTIMISERS,
    PRECISIONS,
    SCALINGS,
    SCHEDULES,
    check_int,
    check_number,
)
from flexpool.lab.published import Published
from flexpool.lab.run_config import RunConfig, Variant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "DEFAULT_RECIPE",
    "FRAMEWORKS",
    "SCALINGS",
    "Recipe",
    "RunConfig",
    "Variant",
    "load",
    "shipped",
]

DEFAULT_RECIPE = "lenet5-digits"


@dataclass(frozen=True)
class Recipe:
    """The settings of a comparison. Each key of a recipe file is a field of the same name.

    Attributes:
        net: nets to train, each as ``net`` or ``net/downsampling``; the first is the baseline.
        downsampling: downsamplings for each net that names none; empty: each net's own.
        data: name of the data set, or ``folder:PATH`` for a folder of images by class.
        epochs: passes over the training images, an int > 0.
        seeds: repetitions of each variant, an int > 0; they have the seeds 0, 1, 2, ...
        batch_size: images per step, an int > 0.
        lr: the learning rate, a finite number > 0.
        scaling: what is done to pixel values, one of ``SCALINGS``.
        title: the question, as the report prints it.
        framework: what trains, one of ``FRAMEWORKS``.
        optimiser: one of ``OPTIMISERS``.
        momentum: SGD's momentum, a number in [0, 1).
        weight_decay: times each weight is added to its gradient, a finite number >= 0.
        schedule: how the learning rate changes from epoch to epoch, one of ``SCHEDULES``.
        milestones: with the schedule ``steps``, the epochs after which the rate is multiplied by
            ``drop``: ints > 0, rising.
        drop: that factor, a finite number > 0.
        initialisation: the rule by which weights start, one of ``INITIALISATIONS``.
        resize: height and width in pixels to which images are brought on the fly, an int > 0;
            None leaves them as they are.
        precision: in which numbers the net computes, one of ``PRECISIONS``.
        validation: the share of training images held out, on which each epoch is measured too: a
            number in [0, 1).
        patience: epochs without a better accuracy after which training stops, an int > 0; None:
            it does not. The accuracy is that on the images held out, of test images if there are
            none.
        published: what others measured with these settings.

    Raises:
        ArgumentError: if a value lies outside its domain.

    Example:
        >>> [v.name for v in Recipe(net=("lenet5",), downsampling=("max", "slice")).variants]
        ['lenet5/max', 'lenet5/slice']
    """

    net: tuple[str, ...] = ("lenet5", "lenet5-nopool")
    downsampling: tuple[str, ...] = ()
    data: str = "digits"
    epochs: int = 10
    seeds: int = 5
    batch_size: int = 64
    lr: float = 0.001
    scaling: str = "standard"
    title: str = "Pooling, or a convolution with stride 2?"
    framework: str = "torch"
    optimiser: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    drop: float = 0.1
    initialisation: str = "own"
    resize: int | None = None
    precision: str = "float32"
    validation: float = 0.0
    patience: int | None = None
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        for field in ("net", "downsampling"):
            object.__setattr__(self, field, _names(field, getattr(self, field)))
        if not self.net:
            raise ArgumentError(expected("net", "to name at least one net", ()))
        if self.downsampling and all("/" in net for net in self.net):
            rule = "to be left out where every net names its own"
            instead = "Write the nets without '/', or leave downsampling out."
            raise ArgumentError(expected("downsampling", rule, self.downsampling, instead))
        for field in ("epochs", "seeds", "batch_size"):
            check_int(field, getattr(self, field))
        for field in ("resize", "patience"):
            if getattr(self, field) is not None:
                check_int(field, getattr(self, field))
        for field in ("lr", "drop"):
            check_number(field, getattr(self, field), "> 0", math.ulp(0.0), math.inf)
        check_number("weight_decay", self.weight_decay, ">= 0", 0.0, math.inf)
        for field in ("momentum", "validation"):
            check_number(field, getattr(self, field), "in [0, 1)", 0.0, 1.0)
        for field in ("data", "title"):
            if not isinstance(getattr(self, field), str):
                raise ArgumentError(expected(field, "to be a string", getattr(self, field)))
        registry.find(self.data)
        for field, known in (
            ("scaling", SCALINGS),
            ("framework", FRAMEWORKS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("initialisation", INITIALISATIONS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, field) not in known:
                raise unknown(field, str(getattr(self, field)), known)
        self._check_what_belongs_together()
        entries = self.published if isinstance(self.published, list | tuple) else [self.published]
        object.__setattr__(self, "published", tuple(Published.read(entry) for entry in entries))
        if len(set(self.variants)) < len(self.variants):
            names = [variant.name for variant in self.variants]
            raise ArgumentError(
                expected("net and downsampling", "to give different variants", names)
            )

    def _check_what_belongs_together(self) -> None:
        """Refuse what another setting would make without effect, or cannot work with."""
        if self.momentum and self.optimiser != "sgd":
            rule = f"to be 0 where the optimiser is {self.optimiser}"
            raise ArgumentError(expected("momentum", rule, self.momentum, "Use optimiser sgd."))
        if self.resize is not None and self.framework == "numpy":
            rule = "to be left out where the framework is numpy"
            raise ArgumentError(expected("resize", rule, self.resize))
        if self.precision != "float32" and self.framework == "numpy":
            rule = "to be float32 where the framework is numpy"
            raise ArgumentError(expected("precision", rule, self.precision))
        given = self.milestones
        if not isinstance(given, list | tuple):
            raise ArgumentError(expected("milestones", "to be a list of ints", given))
        for milestone in given:
            check_int("milestones", milestone)
        object.__setattr__(self, "milestones", tuple(given))
        if list(given) != sorted({*given}):
            raise ArgumentError(expected("milestones", "to be rising", given))
        if bool(given) != (self.schedule == "steps"):
            rule = "to be given with the schedule steps, and with no other"
            raise ArgumentError(expected("milestones", rule, self.milestones))
        if self.drop != 0.1 and self.schedule != "steps":
            rule = "to be left out where the schedule is not steps"
            raise ArgumentError(expected("drop", rule, self.drop))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every net with every downsampling; the first one is what the others are compared to."""
        return tuple(
            Variant.parse(net, downsampling, self.framework)
            for net in self.net
            for downsampling in ((None,) if "/" in net else self.downsampling or (None,))
        )

    def changed(self, **values: Any) -> Recipe:
        """Return a recipe with the given fields replaced; None leaves a field as it is."""
        return dataclasses.replace(self, **{k: v for k, v in values.items() if v is not None})


def _names(field: str, value: object) -> tuple[str, ...]:
    """Accept one name, a comma-separated string of names, or a list of names."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ArgumentError(expected(field, "to be a name or a list of names", value))
    return tuple(name.strip() for name in value if name.strip())


def shipped() -> list[str]:
    """List the recipes that come with flexpool.

    Example:
        >>> DEFAULT_RECIPE in shipped()
        True
    """
    folder = resources.files("flexpool.lab") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(source: str | Path = DEFAULT_RECIPE) -> Recipe:
    """Read a recipe: one that ships with flexpool, by name, or a TOML file, by path.

    Args:
        source: a name from :func:`shipped`, or the path of a file that ends in ``.toml``.

    Raises:
        ArgumentError: if there is no such recipe, if the file is not TOML, if it has a key that is
            not a field of :class:`Recipe`, or if a value lies outside its domain.
    """
    text = str(source)
    if not text.endswith(".toml"):
        if text not in shipped():
            raise unknown("recipe", text, [*shipped(), "or a path that ends in .toml"])
        content = (resources.files("flexpool.lab") / "recipes" / f"{text}.toml").read_text("utf-8")
    else:
        try:
            content = Path(text).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"cannot read the recipe {text}: {error}.") from None
    with called(f"recipe {text}"):
        recipe = _from_toml(content)
        _check_published(recipe)
        return recipe


def _from_toml(content: str) -> Recipe:
    try:
        values: Mapping[str, Any] = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ArgumentError(f"not valid TOML: {error}.") from None
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            raise unknown("key", key, known)
    return Recipe(**values)


def _check_published(recipe: Recipe) -> None:
    """Refuse a figure of a net that the recipe does not train, or of an epoch it does not reach."""
    names = [variant.name for variant in recipe.variants]
    for figure in recipe.published:
        name = Variant.parse(figure.variant, framework=recipe.framework).name
        if name not in names:
            rule = f"to be of a variant the recipe trains ({', '.join(names)})"
            raise ArgumentError(expected("published", rule, figure.variant))
        if figure.epoch is not None and figure.epoch > recipe.epochs:
            rule = f"to be of an epoch up to {recipe.epochs}"
            raise ArgumentError(expected("published", rule, figure.epoch))
