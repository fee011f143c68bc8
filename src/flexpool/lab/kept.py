"""Trained nets given back whole: architecture, weights and what they take, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexpool.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    FlexpoolError,
    ShapeError,
    StorageError,
    called,
    expected,
    unknown,
)
from flexpool.lab import data as datasets
from flexpool.lab.checkpoints import read as read_checkpoint
from flexpool.lab.image_files import Picture, read_picture
from flexpool.lab.inputs import Inputs
from flexpool.lab.loop import EVALUATION_BATCH, inputs_of
from flexpool.lab.options import FRAMEWORKS
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Store
from flexpool.lab.weights import Weights, is_whole, read_weights

__all__ = ["Kept", "load"]

Array = np.ndarray[Any, Any]

_SHOWN = 12  # names in a message


@dataclass(frozen=True)
class Kept:
    """A trained net with all that is known of it, as :func:`load` gives it back.

    Attributes:
        source: the file its weights come from.
        config: what was trained.
        inputs: what the net takes and gives.
        model: the net, as in evaluation: a ``torch.nn.Sequential``, or a
            :class:`flexpool.numpy.Sequential`. It takes what :meth:`prepare` makes.
        framework: ``torch`` or ``numpy``: what the net is of.
    """

    source: Path
    config: RunConfig
    inputs: Inputs
    model: Any
    framework: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the net's outputs."""
        return self.inputs.classes

    def of(self, framework: str) -> Kept:
        """Give the same net as one of another framework, from the same file.

        Args:
            framework: ``torch`` or ``numpy``.

        Raises:
            ArgumentError, StorageError: for the reasons of :func:`load`.
        """
        if framework == self.framework:
            return self
        weights = read_weights(self.source, framework)
        return _built(self.config, self.inputs, weights, self.source, framework)

    def prepare(self, images: Array) -> Any:
        """Make what the net takes from images: scaled, and resized if the run resized them.

        Args:
            images: uint8 of shape (N, C, H, W).

        Returns:
            float32 of shape (N, C, H', W'): a tensor on the CPU, or an array for a net of NumPy.

        Raises:
            DtypeError, ShapeError: if the images are not what the net takes.
        """
        self._check(images)
        inputs = self.inputs
        if self.framework == "numpy":
            from flexpool.lab.train_numpy import Images

            labels = np.zeros(len(images), np.int64)
            scaled = Images(images, labels, offset=inputs.offset, scale=inputs.scale)
            return scaled.batch(slice(None))[0]
        import torch

        from flexpool.lab.train_torch import net_input

        pixels = torch.from_numpy(np.array(images, order="C"))  # a copy: data sets are read-only
        return net_input(pixels, inputs.offset, inputs.scale, self.config.resize)

    def logits(self, images: Array) -> Array:
        """Compute the net's outputs for images, in batches.

        Args:
            images: uint8 of shape (N, C, H, W).

        Returns:
            float32 of shape (N, classes): what the probabilities are the softmax of.

        Raises:
            DtypeError, ShapeError: if the images are not what the net takes.
            DataError: if an output is not finite, as of a net whose training diverged.
        """
        self._check(images)
        size = EVALUATION_BATCH
        if self.framework == "torch":
            from flexpool.lab.train_torch import evaluation_batch

            size = evaluation_batch(*self.inputs.image[1:])
        found = [self._outputs(images[i : i + size]) for i in range(0, len(images), size)]
        logits = np.concatenate([np.zeros((0, len(self.classes)), np.float32), *found])
        if not np.isfinite(logits).all():
            raise DataError(
                f"the net of {self.source} gives numbers that are not finite: its training "
                "diverged. Train it with a smaller learning rate."
            )
        return logits

    def predict(
        self, images: Array | Picture | Sequence[Picture], *, invert: bool = False
    ) -> Array:
        """Give the probability of each class for images.

        Args:
            images: an array of uint8 of shape (N, C, H, W); or a picture, or a list of them, each a
                path or a picture of Pillow. Pictures are brought to the net's colours and size, see
                :func:`flexpool.lab.image_files.read_picture`.
            invert: whether dark becomes light in pictures; for black writing on white paper where
                the net has learned white on black. Default False.

        Returns:
            float64 of shape (N, classes); rows sum to 1.

        Raises:
            DtypeError, ShapeError: if an array is not what the net takes.
            DataError: if a picture cannot be read, or an output is not finite.
            ArgumentError: if ``invert`` is given with an array.

        Example:
            >>> import tempfile
            >>> from flexpool import lab
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     record = lab.train(epochs=1, out=folder, progress=False)
            ...     net = lab.load(record.config.id, out=folder)
            >>> net.predict(lab.data.load("digits").test_images[:3]).shape
            (3, 10)
        """
        with called("predict"):
            if isinstance(images, np.ndarray):
                if invert:
                    rule = "to be left out where images are an array"
                    raise ArgumentError(expected("invert", rule, invert, "Give 255 - images."))
                pixels = images
            else:
                pictures: Any = images if isinstance(images, list | tuple) else [images]
                image = self.inputs.image
                read = [read_picture(picture, image, invert=invert) for picture in pictures]
                pixels = np.concatenate([np.zeros((0, *image), np.uint8), *read])
            return _softmax(self.logits(pixels))

    def _outputs(self, images: Array) -> Array:
        x = self.prepare(images)
        if self.framework == "numpy":
            found: Array = self.model(x)
            return found
        import torch

        from flexpool.lab import nets

        layout = nets.find(self.config.net).memory_format
        with torch.no_grad():
            # As the laboratory evaluates: the same kernels, the same digits.
            y = self.model(x.contiguous(memory_format=layout))
        array: Array = y.numpy()
        return array

    def _check(self, images: Array) -> None:
        if not isinstance(images, np.ndarray):
            raise DtypeError(expected("images", "to be a NumPy array", type(images)))
        if images.dtype != np.uint8:
            instead = "Give pixels of 0 to 255 as stored: the net's scaling is applied here."
            raise DtypeError(expected("images", "to be of dtype uint8", str(images.dtype), instead))
        channels, height, width = self.inputs.image
        free = self.config.resize is not None
        whole = images.ndim == 4 and images.shape[1] == channels
        if not whole or not (free or images.shape[2:] == (height, width)):
            size = "H, W" if free else f"{height}, {width}"
            rule = f"to be of shape (N, {channels}, {size})"
            raise ShapeError(expected("images", rule, images.shape))


def load(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] = "results",
    framework: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Kept:
    """Give a trained net back whole: architecture, weights, classes, scaling.

    Only safetensors and JSON are read, which hold numbers and text: nothing in them is run.

    Args:
        run: the folder of a run; or its name or id, or how one of these begins, under ``out``; or
            one file of weights, such as ``checkpoints/*.safetensors`` or ``best.safetensors``. Of a
            folder the weights after the last epoch are taken.
        out: folder of the results.
        framework: ``torch`` or ``numpy``: what the net is to be of, whatever it was trained with;
            None takes what it was trained with.
        data_dir: where to look for the data set of a run that was trained before runs kept what
            their nets take.

    Raises:
        ArgumentError: if no run is meant, or several are, or if the net is not there in the
            framework.
        StorageError: if a file is missing, damaged or a pickle, or if the weights do not fit the
            net; where a whole file lies beside a damaged one, it is named.
        DataError: if the run does not say what its net takes, and its data set is not there.

    Example:
        >>> import tempfile
        >>> from flexpool import lab
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = lab.train("lenet5/avg", epochs=1, out=folder, progress=False)
        ...     net = lab.load("lenet5-avg", out=folder)
        >>> net.config == record.config, net.classes[:3], net.model.conv1
        (True, ('0', '1', '2'), Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2)))
    """
    with called("load"):
        if framework is not None and framework not in FRAMEWORKS:
            raise unknown("framework", framework, FRAMEWORKS)
        file, folder = _find(run, Path(out))
        if folder is None:
            kept = _from_metadata(file, framework)
        else:
            kept = _from_folder(file, folder, framework)
        config, inputs, weights = kept
        _check_config(config, file)
        if inputs is None:
            inputs = _looked_up(config, file, data_dir)
        return _built(config, inputs, weights, file, framework or config.framework)


def _find(run: str | os.PathLike[str], out: Path) -> tuple[Path, Path | None]:
    """Find the file of weights that is meant, and the folder of its run if that is what was given.

    Raises:
        ArgumentError: if there is none.
    """
    if not isinstance(run, str | os.PathLike):
        raise ArgumentError(expected("run", "to be a path, a name or an id", run))
    path = Path(run)
    if path.is_file():
        return path, None
    folder = path if path.is_dir() else _named(os.fspath(run), Store(out).runs)
    if not (folder / "config.json").exists():
        rule = "to be the folder of a finished run"
        raise ArgumentError(expected("run", rule, str(run), _checkpoint_instead(folder)))
    return folder / "weights.safetensors", folder


def _named(text: str, runs: Path) -> Path:
    """Find the run whose name or id begins with a text."""
    names = [folder.name for folder in sorted(runs.glob("[!.]*")) if folder.is_dir()]
    found = [name for name in names if name == text] or [
        name for name in names if _begins(name, text)
    ]
    if len(found) == 1:
        return runs / found[0]
    if found:
        instead = f"Give more of one name: {_some(found)}."
        rule = "to be the beginning of one name or id"
        raise ArgumentError(expected("run", rule, text, instead))
    unfinished = [f for f in sorted((runs / ".partial").glob("*")) if _begins(f.name, text)]
    if unfinished:
        return unfinished[0]
    if not names:
        rule = f"to be a path, or the name of a run in {runs}"
        raise ArgumentError(expected("run", rule, text, "There is none yet: train one."))
    raise ArgumentError(f"unknown run {text!r}. In {runs} there are: {_some(names)}.")


def _begins(name: str, text: str) -> bool:
    return bool(text) and (name.startswith(text) or name.rpartition("-")[2].startswith(text))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _checkpoint_instead(folder: Path) -> str:
    """Name the newest whole checkpoint of a run that is not finished."""
    files = [*folder.glob("*.safetensors"), *folder.glob("checkpoints/*.safetensors")]
    files.sort(key=lambda file: (file.stat().st_mtime_ns, file))
    newest = next((file for file in reversed(files) if is_whole(file)), None)
    return f"Give its newest checkpoint: {newest}." if newest else "It has no checkpoint yet."


Parts = tuple[RunConfig, Inputs | None, Weights]


def _from_folder(file: Path, folder: Path, framework: str | None) -> Parts:
    try:
        config = RunConfig(**json.loads((folder / "config.json").read_text()))
        beside = folder / "inputs.json"
        inputs = Inputs.from_json(beside.read_text()) if beside.exists() else None
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"the run {folder} is damaged ({error}). Give {file}, which says itself what it is, "
            "or train the run again."
        ) from None
    if not file.exists():
        raise StorageError(_without_weights(folder))
    return config, inputs, read_weights(file, framework or config.framework)


def _check_config(config: RunConfig, file: Path) -> None:
    """Refuse settings that no run has; which nets there are is seen when one is built."""
    texts = (config.net, config.downsampling, config.data, config.data_fingerprint)
    resize = config.resize is None or (type(config.resize) is int and config.resize > 0)
    framework = isinstance(config.framework, str) and config.framework in FRAMEWORKS
    if not (all(isinstance(text, str) for text in texts) and resize and framework):
        raise StorageError(f"{file} is of no run there is: {config}. Train the run again.")


def _without_weights(folder: Path) -> str:
    """Say why a run has no weights."""
    try:
        result = json.loads((folder / "result.json").read_text())
        status, message = result["status"], result["message"]
    except (OSError, ValueError, TypeError, KeyError):
        status, message = "damaged", "its files are not complete"
    ended = f"it ended with {status}: {message}" if status != "done" else "they were removed"
    return f"the run {folder} has no weights: {ended}. Train it again."


def _from_metadata(file: Path, framework: str | None) -> Parts:
    """Read a file of weights that stands for itself."""
    weights = read_weights(file, framework or "numpy")
    metadata = weights.metadata
    if "place" in metadata:
        read_checkpoint(file)  # which knows whether its numbers are those that were written
    try:
        config = RunConfig(**json.loads(metadata["config"]))
        inputs = Inputs.from_json(metadata["inputs"]) if "inputs" in metadata else None
    except KeyError:
        raise StorageError(
            f"{file} does not say of what net it is. Give the folder of its run, or a file that "
            "flexpool wrote."
        ) from None
    except (ValueError, TypeError) as error:
        raise StorageError(f"{file} says wrongly of what net it is ({error}).") from None
    if framework is None and config.framework != "numpy":
        weights = read_weights(file, config.framework)
    return config, inputs, weights


def _looked_up(config: RunConfig, file: Path, data_dir: str | os.PathLike[str] | None) -> Inputs:
    """Find out from the data set, if it is at hand, what a net of before takes."""
    sentence = (
        f"{file} does not say what its net takes, as it is of before that was kept. Its data set "
        f"{config.data} would tell"
    )
    rows = {row.name: row for row in datasets.available(data_dir)}
    if config.data not in rows:
        raise DataError(f"{sentence}, but there is none of that name. Train the run again.")
    if rows[config.data].where.startswith("to be downloaded"):
        raise DataError(
            f"{sentence}, but it is not on this machine. Fetch it with "
            f"`flexpool data show {config.data}`, or say where it is with data_dir."
        )
    dataset = datasets.load(config.data, data_dir)
    if dataset.fingerprint != config.data_fingerprint:
        raise DataError(
            f"{sentence}, but the one that is here has other images. Train the run again."
        )
    return inputs_of(config, dataset)


def _built(config: RunConfig, inputs: Inputs, weights: Weights, file: Path, framework: str) -> Kept:
    """Build the net and give it its weights."""
    if framework == "numpy" and config.resize is not None:
        rule = "to be torch where a run resizes its images"
        raise ArgumentError(expected("framework", rule, framework))
    nets: Any
    if framework == "numpy":
        from flexpool.numpy import nets
    else:
        from flexpool.lab import nets
    try:
        model = nets.build(
            config.net, config.downsampling, image=inputs.image, classes=len(inputs.classes)
        )
    except FlexpoolError as error:
        instead = " Load it with framework='torch'." if framework == "numpy" else ""
        raise ArgumentError(f"cannot build the net of {file}: {error}{instead}") from None
    state = dict(_of_the_model(weights.tensors))
    own = model.state_dict()
    wrong = [*_differences(own, state)]
    if wrong:
        raise StorageError(
            f"the weights of {file} do not fit {config.net}/{config.downsampling} for images of "
            f"{' x '.join(map(str, inputs.image))} and {len(inputs.classes)} classes: "
            f"{'; '.join(wrong[:3])}. It is of another net, or was changed: train the run again."
        )
    model.load_state_dict(state)
    model.eval()
    if framework == "torch":
        model.to(memory_format=nets.find(config.net).memory_format)
    return Kept(file, config, inputs, model, framework)


def _of_the_model(tensors: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """List the net's own tensors; in a checkpoint the optimiser's lie beside them."""
    prefix = "model." if any(name.startswith("model.") for name in tensors) else ""
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), tensor


def _differences(own: dict[str, Any], state: dict[str, Any]) -> Iterator[str]:
    """Say what keeps weights from being those of a net."""
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            yield f"{name} is missing"
        elif name not in own:
            yield f"{name} is no tensor of it"
        elif tuple(own[name].shape) != tuple(state[name].shape):
            yield (
                f"{name} has shape {tuple(state[name].shape)}, where "
                f"{tuple(own[name].shape)} is expected"
            )
        elif str(own[name].dtype) != str(state[name].dtype):
            yield f"{name} is of {state[name].dtype}, where {own[name].dtype} is expected"


def _softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
    powers = np.exp(shifted)
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found
