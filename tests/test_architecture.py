"""The shape of the package: imports go downwards, and loading it loads little."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_imports_go_downwards_only():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Contracts: 2 kept, 0 broken." in done.stdout


def test_importing_flexpool_loads_no_heavy_library():
    assert not loaded_by("import flexpool") & {"torch", "numba", "numpy", "pandas", "matplotlib"}


def test_help_of_the_command_needs_no_torch():
    assert "torch" not in loaded_by("import flexpool.cli.app")


def test_the_library_half_needs_no_torch():
    assert "torch" not in loaded_by("import flexpool.window, flexpool.errors")


def test_a_worker_process_loads_no_plots():
    modules = loaded_by("import flexpool.lab.executors.processes")
    assert not modules & {"matplotlib", "plotly", "pandas", "statsmodels"}
