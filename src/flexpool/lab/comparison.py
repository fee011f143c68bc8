"""What a comparison came to: a row per variant, the paired differences, and one honest sentence."""

from __future__ import annotations

import dataclasses
import statistics as middle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

import flexpool
from flexpool.lab.options import OPTIMISERS, SCALINGS
from flexpool.lab.recipe import Recipe, Variant
from flexpool.lab.statistics import ALPHA, Difference, Summary, holm, paired_difference, summarise
from flexpool.lab.store import Record

__all__ = ["Comparison", "VariantResult"]


@dataclass(frozen=True)
class VariantResult:
    """One row of a comparison.

    Attributes:
        variant: net and downsampling.
        params: trainable numbers; None if every run broke.
        macs: multiply-adds of one image's forward pass; None if every run broke.
        n: runs that finished.
        failed: runs that diverged or broke.
        accuracy: test accuracy after the last epoch, over the finished runs.
        top2: share of test images whose class is among the two likeliest.
        train_seconds_per_epoch: median over all epochs of all finished runs.
        difference: accuracy minus the first variant's, seed by seed; None for the first variant.
        p: p-value of that difference, Holm-corrected for the number of variants compared.
    """

    variant: Variant
    params: int | None
    macs: int | None
    n: int
    failed: int
    accuracy: Summary | None
    top2: Summary | None
    train_seconds_per_epoch: float | None
    difference: Difference | None
    p: float | None

    @property
    def differs(self) -> bool:
        """Whether a difference to the first variant is shown at the 5 % level."""
        return self.p is not None and self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: settings, records, and what follows from them.

    Attributes:
        recipe: the settings.
        records: one per run, in the recipe's order of variants, then by seed.
        data: name, fingerprint, source and sizes of the data set.
        environment: machine, versions, workers and threads.
    """

    recipe: Recipe
    records: tuple[Record, ...]
    data: dict[str, Any]
    environment: dict[str, Any]

    @cached_property
    def variants(self) -> tuple[VariantResult, ...]:
        """One result per variant; the first is the baseline of the differences."""
        baseline = self._accuracies(self.recipe.variants[0])
        differences: list[Difference | None] = []
        for variant in self.recipe.variants[1:]:
            accuracies = self._accuracies(variant)
            seeds = sorted(baseline.keys() & accuracies.keys())
            differences.append(
                paired_difference([baseline[s] for s in seeds], [accuracies[s] for s in seeds])
            )
        corrected = iter(holm([d.p for d in differences if d]))
        return tuple(
            self._result(variant, difference, next(corrected) if difference else None)
            for variant, difference in zip(self.recipe.variants, [None, *differences], strict=True)
        )

    @property
    def failures(self) -> tuple[Record, ...]:
        """The runs that diverged or broke."""
        return tuple(record for record in self.records if record.status != "done")

    @property
    def table(self) -> pd.DataFrame:
        """One row per variant."""
        return pd.DataFrame([_flat(result) for result in self.variants]).set_index("name")

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return pd.DataFrame(
            {
                "name": record.config.variant.name,
                "seed": record.config.seed,
                "status": record.status,
                "accuracy": record.curve[-1].test_accuracy if record.curve else None,
                "top2": record.curve[-1].test_top2 if record.curve else None,
                "message": record.message,
                "folder": record.config.folder,
            }
            for record in self.records
        )

    @property
    def curves(self) -> pd.DataFrame:
        """One row per run and epoch."""
        return pd.DataFrame(
            {
                "name": record.config.variant.name,
                "seed": record.config.seed,
                **dataclasses.asdict(epoch),
            }
            for record in self.records
            for epoch in record.curve
        )

    @property
    def verdict(self) -> str:
        """The answer, in one sentence; failed runs are never passed over in silence."""
        failed = len(self.failures)
        runs = "1 run" if failed == 1 else f"{failed} runs"
        without = f" ({runs} of {len(self.records)} failed and are left out.)" if failed else ""
        return self._answer() + without

    def _answer(self) -> str:
        first, *others = self.variants
        compared = [result for result in others if result.difference]
        if not others:
            return f"Nothing to compare {first.variant.name} with: only one variant was trained."
        if not compared:
            return (
                "No difference shown: it takes at least two finished seeds of each variant "
                "to tell a difference from chance."
            )
        seeds = min(result.difference.n for result in compared if result.difference)
        shown = [result for result in compared if result.differs]
        if not shown:
            blind = max(result.difference.resolvable for result in compared if result.difference)
            least = min(result.p for result in compared if result.p is not None)
            return (
                f"No difference shown between {first.variant.name} and {_names(compared, 'or')} "
                f"over {seeds} paired seeds (smallest Holm-corrected p {least:.2g}; a true "
                f"difference under about {100 * blind:.2f} points could not be expected to show)."
            )
        parts = [
            f"{result.variant.name} is {'better' if result.difference.mean > 0 else 'worse'} by "
            f"{_points(result.difference)}"
            for result in shown
            if result.difference
        ]
        quiet = [result for result in compared if not result.differs]
        rest = f"; no difference shown for {_names(quiet, 'and')}" if quiet else ""
        return f"Beside {first.variant.name}, over {seeds} paired seeds, {'; '.join(parts)}{rest}."

    def to_dict(self) -> dict[str, Any]:
        """Return what ``comparison.json`` holds."""
        return {
            "format": 1,
            "flexpool": flexpool.__version__,
            "verdict": self.verdict,
            "settings": {
                **dataclasses.asdict(self.recipe),
                "optimiser": OPTIMISERS[self.recipe.optimiser],
                "loss": "cross entropy",
                "scaling_of_pixels": SCALINGS[self.recipe.scaling],
            },
            "data": self.data,
            "environment": self.environment,
            "variants": [_nested(result, self.recipe.variants[0]) for result in self.variants],
            "failures": [
                {
                    "name": record.config.variant.name,
                    "seed": record.config.seed,
                    "status": record.status,
                    "message": record.message,
                    "folder": record.config.folder,
                }
                for record in self.failures
            ],
            "runs": [record.config.folder for record in self.records],
        }

    def _records(self, variant: Variant) -> list[Record]:
        return [record for record in self.records if record.config.variant == variant]

    def _accuracies(self, variant: Variant) -> dict[int, float]:
        return {
            record.config.seed: record.curve[-1].test_accuracy
            for record in self._records(variant)
            if record.status == "done"
        }

    def _result(
        self, variant: Variant, difference: Difference | None, p: float | None
    ) -> VariantResult:
        records = self._records(variant)
        done = [record for record in records if record.status == "done"]
        last = [record.curve[-1] for record in done]
        seconds = [epoch.train_seconds for record in done for epoch in record.curve]
        known = next((record for record in records if record.params), None)
        return VariantResult(
            variant=variant,
            params=known.params if known else None,
            macs=known.macs if known else None,
            n=len(done),
            failed=len(records) - len(done),
            accuracy=summarise([epoch.test_accuracy for epoch in last]),
            top2=summarise([epoch.test_top2 for epoch in last]),
            train_seconds_per_epoch=middle.median(seconds) if seconds else None,
            difference=difference,
            p=p,
        )


def _points(difference: Difference) -> str:
    low, high = sorted(abs(100 * end) for end in difference.ci95)
    return f"{abs(100 * difference.mean):.2f} points [{low:.2f}, {high:.2f}]"


def _names(results: Sequence[VariantResult], joint: str) -> str:
    *some, last = (result.variant.name for result in results)
    return f"{', '.join(some)} {joint} {last}" if some else last


def _nested(result: VariantResult, baseline: Variant) -> dict[str, Any]:
    difference = None
    if result.difference:
        fields = dataclasses.asdict(result.difference)
        difference = {
            "to": baseline.name,
            **fields,
            "p": result.p,
            "p_uncorrected": fields["p"],
        }
    return {
        "name": result.variant.name,
        "net": result.variant.net,
        "downsampling": result.variant.downsampling,
        "params": result.params,
        "macs": result.macs,
        "n": result.n,
        "failed": result.failed,
        "accuracy": _summary(result.accuracy),
        "top2": _summary(result.top2),
        "train_seconds_per_epoch": result.train_seconds_per_epoch,
        "difference": difference,
    }


def _summary(summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return {"mean": None, "ci95": None, "values": []}
    return dataclasses.asdict(summary)


def _flat(result: VariantResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": result.variant.name,
        "params": result.params,
        "macs": result.macs,
        "n": result.n,
        "failed": result.failed,
    }
    for name, summary in (("accuracy", result.accuracy), ("top2", result.top2)):
        interval = summary.ci95 if summary and summary.ci95 else (None, None)
        row[name] = summary.mean if summary else None
        row[f"{name}_ci95_low"], row[f"{name}_ci95_high"] = interval
    row["train_seconds_per_epoch"] = result.train_seconds_per_epoch
    difference = result.difference
    row["difference"] = difference.mean if difference else None
    interval = difference.ci95 if difference else (None, None)
    row["difference_ci95_low"], row["difference_ci95_high"] = interval
    row["p"] = result.p
    row["seeds_needed"] = difference.seeds_needed if difference else None
    return row
