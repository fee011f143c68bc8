"""Run programs of Python in processes of their own that have loaded PyTorch already.

Loading takes seconds, and there are a hundred such programs in the tests. So one process loads all
of it, once, and forks for each program. What is measured or killed is started the usual way.
"""

import functools
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# What most programs load, in the end.
LOADED = (
    *("torch._dynamo", "scipy.stats", "sklearn.datasets", "matplotlib.pyplot", "loky"),
    *("flexpool.nn", "flexpool.lab.downsampling", "flexpool.lab.report", "flexpool.cli.app"),
)


def python(*arguments, cwd=None, env=None):
    """Run ``python`` with arguments, as ``subprocess.run`` does when it captures the output."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "files": [str(out), str(err)],
        }
        server = _server()
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


@functools.cache
def _server():
    """Start the process that forks; it ends with this one, when nobody can ask any more."""
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve():
    """Fork for each program that is asked for; a child gets out of here to run it."""
    for name in LOADED:
        __import__(name)
    gc.freeze()  # what is loaded is not looked at again, so that a child need not copy it
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            return asked
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def _become(asked):
    """Take the streams, folder, environment and arguments of the program."""
    for path, stream in zip(asked["files"], (sys.stdout, sys.stderr), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])


def _run(first, *rest):
    if first == "-c":
        program, *others = rest
        sys.argv, sys.path[0] = ["-c", *others], ""
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        module, *others = rest
        sys.argv, sys.path[0] = [module, *others], ""
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [first, *rest], str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _asked = _serve()
    if _asked is not None:
        _become(_asked)
        _run(*_asked["arguments"])
