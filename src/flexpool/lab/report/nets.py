"""A picture of one net of each variant: what it has learned, and what it mistakes."""

from __future__ import annotations

from pathlib import Path

from flexpool.lab.comparison import Comparison
from flexpool.lab.data import Dataset
from flexpool.lab.kept import load
from flexpool.lab.pictures import portrait
from flexpool.lab.store import Record

__all__ = ["portraits"]

# A report is to be there seconds after the last run, so that large nets try fewer test images.
_MOST_MULTIPLY_ADDS = 50_000_000_000
_FEWEST = 50


def portraits(comparison: Comparison, folder: Path, dataset: Dataset) -> dict[str, bytes]:
    """Draw the most accurate net of each variant that has one.

    Args:
        comparison: whose nets.
        folder: of the results, where their weights are.
        dataset: what they were trained on.

    Returns:
        PNG files, by what to call each.
    """
    found = {}
    for variant in comparison.recipe.variants:
        done = [r for r in comparison.records if r.config.variant == variant and r.status == "done"]
        best = max(done, key=lambda record: record.curve[-1].test_accuracy, default=None)
        if best is None:
            continue
        run = folder / "runs" / best.config.folder
        if (run / "weights.safetensors").exists():
            name = f"{best.config.label}, {100 * best.curve[-1].test_accuracy:.2f} %"
            found[name] = portrait(load(run), dataset, _tried(best, dataset))
    return found


def _tried(record: Record, dataset: Dataset) -> int:
    """Count the test images to try a net on."""
    affordable = _MOST_MULTIPLY_ADDS // max(record.macs, 1)
    return min(len(dataset.test_images), max(affordable, _FEWEST))
