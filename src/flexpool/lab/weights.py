"""Reading files of weights: safetensors only, and what is wrong with one said clearly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from flexpool.errors import StorageError

__all__ = ["Weights", "is_pickle", "is_whole", "read_weights"]

# A file of safetensors begins with the length of its header in 8 bytes; the header is JSON.
_HEADER_AT = 8
_ARCHIVE = b"PK\x03\x04"  # as torch.save writes: a pickle in a zip
_PROTOCOL = b"\x80"  # the first byte of a bare pickle


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes:
        tensors: by name.
        metadata: the texts that stand in its header.
    """

    tensors: dict[str, Any]
    metadata: dict[str, str]


def read_weights(path: Path, framework: str) -> Weights:
    """Read a file of safetensors.

    Args:
        path: the file.
        framework: ``torch`` for tensors, ``numpy`` for arrays.

    Raises:
        StorageError: if the file cannot be read, is a pickle (which is not opened: it could run any
            code), or is damaged; it then names a whole file beside it, if there is one.
    """
    try:
        with path.open("rb") as stream:
            begin = stream.read(_HEADER_AT + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"cannot read {path}: {reason}.") from None
    if is_pickle(begin):
        raise StorageError(
            f"{path} is a pickle, which can run any code when it is opened: refused. "
            "flexpool reads safetensors only; save the tensors with safetensors.torch.save_file."
        )
    try:
        return _read(path, framework)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        instead = _whole_file_beside(path)
        advice = f"Use {instead}, which is whole." if instead else "Train the run again."
        raise StorageError(
            f"{path} is damaged or no file of safetensors ({error}). {advice}"
        ) from None


def is_whole(path: Path) -> bool:
    """Tell whether a file is safetensors from its beginning to its end.

    Example:
        >>> is_whole(Path("nothing-there.safetensors"))
        False
    """
    try:
        with safe_open(path, "np") as file:
            file.keys()
    except (SafetensorError, OSError):
        return False
    return True


def is_pickle(begin: bytes) -> bool:
    r"""Tell by the first nine bytes of a file, whatever it is called.

    Example:
        >>> is_pickle(b"\x80\x04\x95..."), is_pickle(bytes(8) + b"{")
        (True, False)
    """
    if begin[_HEADER_AT:] == b"{":
        return False
    return begin.startswith(_ARCHIVE) or begin.startswith(_PROTOCOL)


def _read(path: Path, framework: str) -> Weights:
    with safe_open(path, framework="np" if framework == "numpy" else "pt") as file:
        names = file.keys()
        return Weights({name: file.get_tensor(name) for name in names}, file.metadata() or {})


def _whole_file_beside(path: Path) -> Path | None:
    """Find the newest whole file of weights of a damaged one's run: the checkpoint before, say."""
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    if not ((run / "config.json").exists() or (run / "checkpoints").is_dir()):
        return None
    others = [*run.glob("checkpoints/*.safetensors"), *run.glob("*.safetensors")]

    def newest_of_its_kind_last(other: Path) -> tuple[bool, int, str]:
        return other.parent == path.parent, other.stat().st_mtime_ns, other.name

    others.sort(key=newest_of_its_kind_last, reverse=True)
    return next((other for other in others if other != path and is_whole(other)), None)
