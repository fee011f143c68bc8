"""Kernels come from the cache or are compiled anew, and give the right results either way."""

import inspect
import linecache
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from flexpool.backends import cached_files, kernel_files
from flexpool.backends.triton_gpu import launch

SIGNATURE = "void(float64[::1], float64[::1])"
SOURCE = '''
from flexpool.backends import numba_math


def kernel(x, y):
    """A toy."""
    for i in range(len(x)):
        y[i] = numba_math.sqrt(x[i]) + 1.0
'''

# Loads the kernel above, checks its result, and prints how it came about.
PROGRAM = f"""
import numpy as np
from flexpool.backends import kernel_files
kernel = kernel_files.load({SOURCE!r}, "toy", {SIGNATURE!r})
y = np.zeros(3)
kernel(np.array([0.0, 4.0, 9.0]), y)
assert y.tolist() == [1.0, 3.0, 4.0], y
print("loaded" if kernel.stats.cache_hits else "compiled")
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and a process that has not loaded any kernel."""
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    forget(monkeypatch)
    return tmp_path / "cache"


def forget(monkeypatch):
    monkeypatch.setattr(kernel_files, "_table", {})


def load(source=SOURCE, name="toy"):
    """Load a kernel, check what it computes, and return it."""
    kernel = kernel_files.load(source, name, SIGNATURE)
    y = np.zeros(3)
    kernel(np.array([0.0, 4.0, 9.0]), y)
    assert y.tolist() == [1.0, 3.0, 4.0]
    return kernel


def hits(kernel):
    return sum(kernel.stats.cache_hits.values())


def path():
    return kernel_files.source_path(SOURCE, "toy", SIGNATURE)


def numba_files(folder=None):
    """What lies beside Numba's index, by ending."""
    files = (folder or path().parent / "__pycache__").iterdir()
    return {file.suffix: file for file in files if file.stem.startswith("toy_")}


def test_a_kernel_is_compiled_once_and_then_loaded(cache, monkeypatch):
    first = load()
    assert hits(first) == 0
    assert load() is first
    assert path().read_text() == SOURCE
    assert path().is_relative_to(cache / "kernels")
    assert set(numba_files()) == {".nbi", ".nbc", ".sha256"}

    forget(monkeypatch)
    second = load()
    assert second is not first
    assert hits(second) == 1


def test_a_kernel_takes_no_other_arguments():
    with pytest.raises(TypeError, match="No matching definition"):
        load()(np.zeros(3, np.float32), np.zeros(3))


@pytest.mark.parametrize("cached", [True, False])
def test_the_source_can_be_inspected(cached, cache):
    if not cached:
        cache.write_text("not a folder")
    kernel = load()
    linecache.checkcache()
    assert inspect.getsource(kernel.py_func) == SOURCE[SOURCE.index("def") :]
    with pytest.raises(TypeError) as caught:
        kernel.py_func(None, None)
    assert "for i in range(len(x)):" in "".join(traceback.format_exception(caught.value))


def test_what_the_machine_code_depends_on_is_part_of_the_name(monkeypatch):
    names = {path()}
    names.add(kernel_files.source_path(SOURCE + "\n", "toy", SIGNATURE))
    names.add(kernel_files.source_path(SOURCE, "toy", SIGNATURE.replace("64", "32")))
    monkeypatch.setattr(kernel_files, "OPTIONS", {**kernel_files.OPTIONS, "nogil": False})
    names.add(path())
    here = kernel_files._surroundings(())
    for i in range(len(here)):
        changed = (*here[:i], "changed", *here[i + 1 :])
        monkeypatch.setattr(kernel_files, "_surroundings", lambda _, changed=changed: changed)
        names.add(path())
    assert len(names) == 4 + len(here)


def test_imported_functions_are_part_of_the_surroundings(tmp_path, monkeypatch):
    names = kernel_files._IMPORTED["numba_math"]
    assert names == ("numba_math.py", "numba_extrema.py", "numba_lanes.py", "philox.py")
    for name in names:
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(kernel_files.importlib.resources, "files", lambda _: tmp_path)
    seen = set()
    for name in ("", *names):
        if name:
            (tmp_path / name).write_text("2")
        seen.add(kernel_files._surroundings.__wrapped__(names))
    assert len(seen) == 1 + len(names)


def test_without_the_variable_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("FLEXPOOL_CACHE_DIR")
    monkeypatch.setattr(cached_files.platformdirs, "user_cache_path", lambda name: f"/cache/{name}")
    assert cached_files.cache_folder() == "/cache/flexpool"


def test_a_damaged_source_is_written_again(monkeypatch):
    load()
    for damaged in (b"", SOURCE[:40].encode(), b"def kernel(x, y): y[:] = 7\n", b"\xff\0"):
        path().write_bytes(damaged)
        forget(monkeypatch)
        load()
        assert path().read_text() == SOURCE


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def empty(file):
    file.write_bytes(b"")


def garble(file):
    file.write_bytes(b"\x80\x04garbage" * 40)


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)


def remove(file):
    file.unlink()


@pytest.mark.parametrize("damage", [truncate, empty, garble, flip, remove])
@pytest.mark.parametrize("ending", [".nbi", ".nbc", ".sha256"])
def test_damaged_machine_code_is_compiled_anew(damage, ending, monkeypatch):
    load()
    damage(numba_files()[ending])
    for expected in (0, 1):
        forget(monkeypatch)
        assert hits(load()) == expected


def test_machine_code_nobody_recorded_is_not_loaded(monkeypatch):
    """As if a process had been killed between Numba's writing and the record's."""
    other = SOURCE.replace("1.0", "2.0")
    kernel_files.load(other, "toy", SIGNATURE)
    theirs = kernel_files.source_path(other, "toy", SIGNATURE).stem
    for file in (path().parent / "__pycache__").iterdir():
        file.rename(file.with_name(file.name.replace(theirs, path().stem)))
    assert hits(load()) == 0


def test_machine_code_that_cannot_be_loaded_is_compiled_anew(monkeypatch, caplog):
    """Whole as it was written, and still not what this Numba can read."""
    load()
    files = numba_files()
    garble(files[".nbc"])
    files[".sha256"].write_bytes(kernel_files._digests(files[".nbc"].parent, path().stem))
    for expected in (0, 0, 1):
        forget(monkeypatch)
        kernel = load()
        assert hits(kernel) == expected


@pytest.fixture
def debug(caplog):
    caplog.set_level(logging.DEBUG, "flexpool")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "flexpool"]


def test_a_folder_that_cannot_be_made_means_no_cache(cache, debug):
    cache.write_text("not a folder")
    load()
    load()
    assert len(debug()) == 1
    assert "toy_" in debug()[0]
    assert "without a cache" in debug()[0]
    assert cache.read_text() == "not a folder"


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(28, "full")])
def test_a_source_that_cannot_be_written_means_no_cache(error, cache, monkeypatch, debug):
    def fail(*_):
        raise error

    monkeypatch.setattr(cached_files, "write_atomically", fail)
    load()
    assert len(debug()) == 1
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_machine_code_that_cannot_be_written_is_used_all_the_same(cache, monkeypatch, debug):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", fail)
    load()
    assert len(debug()) == 1
    assert "not written" in debug()[0]
    monkeypatch.undo()
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(cache))
    for expected in (0, 1):
        forget(monkeypatch)
        assert hits(load()) == expected


def test_a_record_that_cannot_be_written_costs_only_time(monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(kernel_files, "write_atomically", fail)
        load()
    assert set(numba_files()) == {".nbi", ".nbc"}
    forget(monkeypatch)
    assert hits(load()) == 0


def test_damaged_files_that_cannot_be_removed_are_not_loaded(monkeypatch, debug):
    def fail(*_, **__):
        raise PermissionError(30, "Read-only file system")

    load()
    flip(numba_files()[".nbc"])
    forget(monkeypatch)
    monkeypatch.setattr(kernel_files, "_remove", fail)
    assert hits(load()) == 0
    assert len(debug()) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "full")

    monkeypatch.setattr(type(file), "replace", fail)
    with pytest.raises(OSError, match="full"):
        cached_files.write_atomically(file, b"new")
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [b"old"]


def test_a_program_for_triton_goes_the_same_way(cache, debug):
    first = launch._written("x = 1\n")
    assert first.parent == cache / "triton"
    first.write_text("x =")
    assert launch._written("x = 1\n") == first
    assert first.read_text() == "x = 1\n"
    assert debug() == []


def test_a_program_for_triton_needs_a_file_even_without_a_cache(cache, debug):
    cache.write_text("not a folder")
    path = launch._written("x = 1\n")
    assert path.parent == cached_files.temporary_folder(os.getpid())
    assert path.read_text() == "x = 1\n"
    assert launch._written("x = 1\n") == path
    assert "temporary" in debug()[0]


def test_the_temporary_folder_goes_with_its_process_and_not_with_a_fork():
    program = """
import os, sys
from flexpool.backends.cached_files import temporary_folder
folder = temporary_folder(os.getpid())
if hasattr(os, "fork"):
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
assert folder.is_dir()
print(folder)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert Path(done.stdout.strip()).name.startswith("flexpool-")
    assert not Path(done.stdout.strip()).exists()


def test_an_error_in_a_kernel_is_raised_and_not_remembered():
    for _ in range(2):
        with pytest.raises(Exception, match="unknown_function"):
            kernel_files.load("def kernel(x, y): unknown_function(x)\n", "bad", SIGNATURE)


def test_a_cache_folder_for_numba_is_respected(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    assert run(environment) == "compiled"
    (folder,) = (tmp_path / "numba").iterdir()
    assert set(numba_files(folder)) == {".nbi", ".nbc", ".sha256"}
    flip(numba_files(folder)[".nbc"])
    assert run(environment) == "compiled"
    assert run(environment) == "loaded"


def run(environment=None):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_processes_fill_the_cache_at_the_same_moment(monkeypatch, cache):
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(run())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    load()
    forget(monkeypatch)
    assert hits(load()) == 1
    assert not list(cache.rglob("*.tmp*"))


def test_threads_compile_a_kernel_once(monkeypatch):
    compiled = []
    original = kernel_files._compiled

    def slow(source, name, signature):
        compiled.append(name)
        time.sleep(0.1)
        return original(source, name, signature)

    monkeypatch.setattr(kernel_files, "_compiled", slow)
    kernels = []
    threads = [threading.Thread(target=lambda: kernels.append(load())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == ["toy"]
    assert len(kernels) == 6
    assert len(set(map(id, kernels))) == 1


def test_a_kernel_in_the_making_does_not_hold_up_others(monkeypatch):
    begun, done = threading.Event(), threading.Event()

    def compiled(source, name, signature):
        if name == "slow":
            begun.set()
            assert done.wait(10)
        return name

    monkeypatch.setattr(kernel_files, "_compiled", compiled)
    thread = threading.Thread(target=kernel_files.load, args=(SOURCE, "slow", SIGNATURE))
    thread.start()
    assert begun.wait(10)
    assert kernel_files.load(SOURCE, "quick", SIGNATURE) == "quick"
    done.set()
    thread.join()


FORKED_WHILE_COMPILING = f"""
import os, threading, time
import numpy as np
from flexpool.backends import kernel_files

def load(source):
    kernel_files.load(source, "toy", {SIGNATURE!r})(np.ones(1), np.zeros(1))

source = {SOURCE!r}
entered = threading.Event()
original = kernel_files._function
def slow(*arguments):
    entered.set()
    time.sleep(0.2)
    return original(*arguments)
kernel_files._function = slow
thread = threading.Thread(target=load, args=(source,))
thread.start()
entered.wait()
time.sleep({{delay}})
child = os.fork()
if child == 0:
    load(source)
    load(source.replace("1.0", "2.0"))
    os._exit(0)
deadline = time.monotonic() + 40
while True:
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        break
    if time.monotonic() > deadline:
        os.kill(child, 9)
        raise SystemExit("the child hangs")
    time.sleep(0.01)
thread.join()
load(source.replace("1.0", "3.0"))
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("delay", [0.1, 0.4])
def test_a_fork_while_another_thread_compiles(delay):
    """Before the compiler is entered, with the kernel's lock held; and in the midst of it."""
    program = FORKED_WHILE_COMPILING.format(delay=delay)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
