"""Turn generated source text into compiled functions, and keep both in the user's cache.

The source lies in ``<cache>/kernels/<numba version>-py<version>/<name>_<hash>.py``, Numba's machine
code where Numba puts it. Numba unpickles and runs whatever it finds there, so a file beside it
holds the SHA-256 digests of what was written: anything else is removed and compiled anew. Without a
folder that can be written, kernels are compiled for this process alone.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import importlib.resources
import linecache
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite.binding
import numba
from numba.core.compiler_lock import global_compiler_lock

from flexpool.backends.cached_files import cache_folder, keep, write_atomically

__all__ = ["load", "source_path"]

Kernel = Callable[..., Any]

# Not "nnan" and "ninf": NaN and infinities have a meaning in pooling.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    # Not "reassoc" nor "arcp": LLVM would turn (a / m) * m into (a * m) / m, and a formula that
    # divides by its maximum to keep in range would overflow. Sums have it: numba_math.add.
    "fastmath": {"contract", "nsz"},
    "error_model": "numpy",
    "boundscheck": False,
}

# What kernels import, with what that imports: Numba compiles it into them, and does not notice when
# it changes.
_IMPORTED = {
    "numba_math": ("numba_math.py", "numba_extrema.py", "numba_lanes.py", "philox.py"),
    "numba_formats": ("numba_formats.py",),
}

_log = logging.getLogger("flexpool")


class _Entry:
    """One kernel in the table: compiled, or about to be by the thread that holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kernel: Kernel | None = None


_table: dict[tuple[str, str, str], _Entry] = {}
_table_lock = threading.Lock()


def load(source: str, name: str, signature: str) -> Kernel:
    """Compile the function ``kernel`` of a module's source text, once for all threads.

    Args:
        source: a module that defines ``kernel``, undecorated.
        name: what the kernel is for; part of its file's name.
        signature: the types of its arguments, as Numba writes them.
    """
    with _table_lock:
        entry = _table.setdefault((source, name, signature), _Entry())
    with entry.lock:
        if entry.kernel is None:
            entry.kernel = _compiled(source, name, signature)
        return entry.kernel


def source_path(source: str, name: str, signature: str) -> Path:
    """Tell where the source of a kernel lies, or would lie."""
    version = f"{numba.__version__}-py{sys.version_info.major}.{sys.version_info.minor}"
    return cache_folder() / "kernels" / version / f"{_stem(source, name, signature)}.py"


def _stem(source: str, name: str, signature: str) -> str:
    """Name a kernel after all that its machine code depends on."""
    # repr of a set depends on the process, that of a sorted list does not.
    options = [sorted(o) if isinstance(o, set) else o for _, o in sorted(OPTIONS.items())]
    imported = tuple(f for module, files in _IMPORTED.items() if module in source for f in files)
    parts = [source, signature, repr(options), *_surroundings(imported)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{name}_{digest[:24]}"


@functools.cache
def _surroundings(imported: tuple[str, ...]) -> tuple[str, ...]:
    """Give what machine code depends on besides the kernel: imported functions and the processor.

    Numba tells processors apart inside one file, but two machines that share a home folder could
    write that file at the same moment.
    """
    folder = importlib.resources.files("flexpool.backends")
    digests = (hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in imported)
    processor = llvmlite.binding.get_host_cpu_name()
    return (*digests, processor, llvmlite.binding.get_host_cpu_features().flatten())


def _compiled(source: str, name: str, signature: str) -> Kernel:
    """Compile through the cache; if anything about the cache fails, compile without it."""
    stem = _stem(source, name, signature)
    try:
        path = source_path(source, name, signature)
        keep(path, source)
        return _through_cache(_function(source, stem, str(path)), stem, signature)
    except Exception as error:  # Damaged machine code can raise anything when it is unpickled.
        # An error in the kernel itself comes up again below, where nothing catches it.
        _log.debug("%s is compiled without a cache: %r", stem, error)
    function = _function(source, stem, f"<{stem}>")
    return _fixed(numba.njit(**OPTIONS)(function), signature)


def _function(source: str, stem: str, file: str) -> Kernel:
    """Run a kernel's module and give its function.

    The module is run from the text: what lies in the file now, or in Python's own cache of it,
    could be damaged. The same text is what tracebacks and ``inspect`` show.
    """
    module = ModuleType(f"flexpool.backends.kernels.{stem}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # Numba looks it up when it loads machine code.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), module.__dict__)
    function: Kernel = module.kernel
    return function


def _through_cache(function: Kernel, stem: str, signature: str) -> Kernel:
    """Let Numba load machine code that is as it was written, or compile and write it."""
    dispatcher: Any = numba.njit(cache=True, **OPTIONS)(function)
    folder = Path(dispatcher.stats.cache_path)
    record = folder / f"{stem}.sha256"
    if _recorded(record) != _digests(folder, stem):
        _remove(record, folder, stem)
    try:
        kernel = _fixed(dispatcher, signature)
    except Exception as error:
        if dispatcher.signatures:
            # Compiled, but the disk is full or the like; the next process finds no record of it.
            _log.debug("%s is not written to the cache: %r", stem, error)
            return _closed(dispatcher)
        _remove(record, folder, stem)
        raise
    if not sum(dispatcher.stats.cache_hits.values()):
        with contextlib.suppress(OSError):
            write_atomically(record, _digests(folder, stem))
    return kernel


def _remove(record: Path, folder: Path, stem: str) -> None:
    for file in (record, *_machine_code(folder, stem)):
        file.unlink(missing_ok=True)


def _machine_code(folder: Path, stem: str) -> list[Path]:
    """List what Numba keeps for one kernel: an index and the code."""
    return sorted(folder.glob(f"{glob.escape(stem)}.*.nb[ci]"))


def _digests(folder: Path, stem: str) -> bytes:
    """Describe the files of one kernel as the program ``sha256sum`` would."""
    lines = b""
    for file in _machine_code(folder, stem):
        # Another process may have removed the file since it was listed.
        with contextlib.suppress(FileNotFoundError):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            lines += f"{digest}  {file.name}\n".encode()
    return lines


def _recorded(record: Path) -> bytes:
    try:
        return record.read_bytes()
    except FileNotFoundError:
        return b""


def _fixed(dispatcher: Any, signature: str) -> Kernel:
    """Compile for one signature; other arguments are then an error instead of minutes lost."""
    dispatcher.compile(signature)
    return _closed(dispatcher)


def _closed(dispatcher: Any) -> Kernel:
    dispatcher.disable_compile()
    kernel: Kernel = dispatcher
    return kernel


def _after_fork_in_child() -> None:
    """Forget the locks of threads that a forked process does not have."""
    global _table_lock
    _table_lock = threading.Lock()
    for entry in _table.values():
        entry.lock = threading.Lock()
    global_compiler_lock.release()


if hasattr(os, "register_at_fork"):
    # A process forked while another thread compiles would find Numba's lock held for ever and its
    # compiler half way through; so forks wait for the compiler.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=_after_fork_in_child,
    )
