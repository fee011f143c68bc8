"""What one training run is: a net, its downsampling, and all that its numbers follow from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flexpool.lab.data import short
from flexpool.lab.data.folder import PREFIX as FOLDER

__all__ = ["PROCEDURE", "RunConfig", "Variant"]

# Raised whenever a change to the laboratory makes the same settings train to other numbers, so that
# runs from before the change are not taken for runs from after it.
PROCEDURE = 1

# Settings that came later, with the values that runs had before there was a choice: at these they
# are left out of a run's id, so that those runs are still found.
_LATER: dict[str, Any] = {
    "framework": "torch",
    "optimiser": "adam",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "milestones": (),
    "drop": 0.1,
    "initialisation": "own",
    "resize": None,
    "precision": "float32",
    "validation": 0.0,
    "patience": None,
}


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
        data: name of the data set; of a folder of images, ``folder:`` and its full path.
        data_fingerprint: SHA-256 over the images and labels.
        seed: the repetition, an int >= 0; see ``flexpool.lab.seeds``.
        epochs: passes over the training images.
        batch_size: images per step.
        lr: the learning rate, of the first epoch if it has a schedule.
        scaling: one of ``SCALINGS``.
        device: torch's name of the device.
        threads: CPU threads of the run: they decide in which order numbers are added.
        torch: version of the framework, which is PyTorch unless ``framework`` says otherwise.
        procedure: version of the laboratory's training.
        framework: one of ``FRAMEWORKS``.
        optimiser, momentum, weight_decay, schedule, milestones, drop, initialisation, resize,
            precision, validation, patience: as those of a recipe.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))  # JSON has lists

    @property
    def variant(self) -> Variant:
        """Net and downsampling."""
        return Variant(self.net, self.downsampling)

    @property
    def id(self) -> str:
        """Hash of all fields: the same id means the same numbers."""
        fields = dataclasses.asdict(self)
        if self.data.startswith(FOLDER):
            # Where a folder of images lies does not matter: the fingerprint says what is in it.
            fields["data"] = FOLDER
        for name, value in _LATER.items():
            if fields[name] == value:
                del fields[name]
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of the run's folder: readable first, unique by its id."""
        parts = [self.net, self.downsampling, short(self.data), f"seed{self.seed}", self.id]
        if self.framework != "torch":
            parts.insert(0, self.framework)
        return "-".join(parts)

    @property
    def label(self) -> str:
        """What to call the run in a progress bar or a message."""
        where = "" if self.framework == "torch" else f" in {self.framework}"
        return f"{self.variant.name} seed {self.seed}{where}"


def _catalogue(framework: str) -> tuple[Callable[[str], Any], Callable[[str], str]]:
    """Find who knows the nets and the downsamplings of a framework; NumPy's load no PyTorch."""
    if framework == "numpy":
        from flexpool.numpy import nets as from_zero

        return from_zero.find, from_zero.downsampling_named
    from flexpool.lab import downsampling, nets

    return nets.find, lambda name: downsampling.find(name).name
