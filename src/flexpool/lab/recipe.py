"""Recipes: what to compare, and how to train it. One TOML file is one frozen dataclass."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from flexpool.errors import ArgumentError, called, expected, unknown
from flexpool.lab.data import registry

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

SCALINGS = {
    "standard": "minus the mean of all training pixels, divided by their standard deviation",
    "unit": "divided by 255, so that pixels lie in [0, 1]",
    "raw": "pixel values 0 to 255 as they are",
}

FRAMEWORKS = {
    "torch": "PyTorch",
    "numpy": "flexpool.numpy: every layer from zero, no deep-learning framework",
}

# Raised whenever a change to the laboratory makes the same settings train to other numbers, so that
# runs from before the change are not taken for runs from after it.
PROCEDURE = 1


@dataclass(frozen=True, order=True)
class Variant:
    """A net with one downsampling: a row of a comparison.

    Example:
        >>> Variant.parse("lenet5").name, Variant.parse("lenet5/avg").name
        ('lenet5/max', 'lenet5/avg')
    """

    net: str
    downsampling: str

    @property
    def name(self) -> str:
        """Net and downsampling, as the table shows them and as ``--net`` takes them."""
        return f"{self.net}/{self.downsampling}"

    @classmethod
    def parse(cls, text: str, downsampling: str | None = None, framework: str = "torch") -> Variant:
        """Read ``net`` or ``net/downsampling``.

        Args:
            text: what the user typed.
            downsampling: taken where ``text`` names none; None takes the net's own.
            framework: one of ``FRAMEWORKS``: whose nets there are to choose from.

        Raises:
            ArgumentError: if the net or the downsampling is unknown.
        """
        net_name, _, own = text.partition("/")
        find_net, named = _catalogue(framework)
        net = find_net(net_name)
        return cls(net.name, named(own or downsampling or net.downsampling))


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines the numbers of one training run, and nothing else.

    Attributes:
        net: one of ``NETS``.
        downsampling: one of ``DOWNSAMPLINGS``.
        data: name of the data set.
        data_fingerprint: SHA-256 over the images and labels.
        seed: the repetition, an int >= 0; see ``flexpool.lab.seeds``.
        epochs: passes over the training images.
        batch_size: images per step.
        lr: Adam's learning rate.
        scaling: one of ``SCALINGS``.
        device: torch's name of the device.
        threads: CPU threads of the run: they decide in which order numbers are added.
        torch: version of the framework, which is PyTorch unless ``framework`` says otherwise.
        procedure: version of the laboratory's training.
        framework: one of ``FRAMEWORKS``.
    """

    net: str
    downsampling: str
    data: str
    data_fingerprint: str
    seed: int
    epochs: int
    batch_size: int
    lr: float
    scaling: str
    device: str
    threads: int
    torch: str
    procedure: int = PROCEDURE
    framework: str = "torch"

    @property
    def variant(self) -> Variant:
        """Net and downsampling."""
        return Variant(self.net, self.downsampling)

    @property
    def id(self) -> str:
        """Hash of all fields: the same id means the same numbers."""
        fields = dataclasses.asdict(self)
        if self.framework == "torch":
            del fields["framework"]  # so that runs from before there was a choice are still found
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of the run's folder: readable first, unique by its id."""
        parts = [self.net, self.downsampling, self.data, f"seed{self.seed}", self.id]
        if self.framework != "torch":
            parts.insert(0, self.framework)
        return "-".join(parts)

    @property
    def label(self) -> str:
        """What to call the run in a progress bar or a message."""
        where = "" if self.framework == "torch" else f" in {self.framework}"
        return f"{self.variant.name} seed {self.seed}{where}"


@dataclass(frozen=True)
class Recipe:
    """The settings of a comparison. Each key of a recipe file is a field of the same name.

    Attributes:
        net: nets to train, each as ``net`` or ``net/downsampling``; the first is the baseline.
        downsampling: downsamplings for each net that names none; empty: each net's own.
        data: name of the data set.
        epochs: passes over the training images, an int > 0.
        seeds: repetitions of each variant, an int > 0; they have the seeds 0, 1, 2, ...
        batch_size: images per step, an int > 0.
        lr: Adam's learning rate, a finite number > 0.
        scaling: what is done to pixel values, one of ``SCALINGS``.
        title: the question, as the report prints it.
        framework: what trains, one of ``FRAMEWORKS``.

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
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(expected(field, "to be an int > 0", value))
        if isinstance(self.lr, bool) or not isinstance(self.lr, int | float):
            raise ArgumentError(expected("lr", "to be a number > 0", self.lr))
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ArgumentError(expected("lr", "to be a finite number > 0", self.lr))
        for field in ("data", "title"):
            if not isinstance(getattr(self, field), str):
                raise ArgumentError(expected(field, "to be a string", getattr(self, field)))
        registry.find(self.data)
        for field, known in (("scaling", SCALINGS), ("framework", FRAMEWORKS)):
            if getattr(self, field) not in known:
                raise unknown(field, str(getattr(self, field)), known)
        if len(set(self.variants)) < len(self.variants):
            names = [variant.name for variant in self.variants]
            raise ArgumentError(
                expected("net and downsampling", "to give different variants", names)
            )

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


def _catalogue(framework: str) -> tuple[Callable[[str], Any], Callable[[str], str]]:
    """Find who knows the nets and the downsamplings of a framework; NumPy's load no PyTorch."""
    if framework == "numpy":
        from flexpool.numpy import nets as from_zero

        return from_zero.find, from_zero.downsampling_named
    from flexpool.lab import downsampling, nets

    return nets.find, lambda name: downsampling.find(name).name


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
        return _from_toml(content)


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
