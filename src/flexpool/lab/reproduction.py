"""Published figures beside ours: what others measured once, and what one run of ours would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flexpool
from flexpool.errors import ArgumentError, called, expected
from flexpool.lab.laboratory import DEFAULT_OUT
from flexpool.lab.options import check_int
from flexpool.lab.published import Published
from flexpool.lab.recipe import Recipe, Variant, load, shipped
from flexpool.lab.recording import Recording
from flexpool.lab.statistics import Interval, Summary, prediction_interval, summarise
from flexpool.lab.store import Record
from flexpool.lab.workbench import Workbench

__all__ = ["Reproduction", "Row", "reproduce", "with_figures"]

# The columns of a run's curve in which the measures stand.
_COLUMNS = {
    "accuracy": "test_accuracy",
    "top2": "test_top2",
    "test_loss": "test_loss",
    "train_accuracy": "train_accuracy",
    "train_loss": "train_loss",
}

_QUICK_DATA, _QUICK_SEEDS, _QUICK_SIDE = "digits", 2, 64


@dataclass(frozen=True)
class Row:
    """One published figure beside ours.

    Attributes:
        recipe: whose figure it is, by name.
        figure: what was published.
        variant: the net and its downsampling.
        epoch: after which epoch it is measured.
        ours: our mean over seeds with its 95 % interval; None if no run came that far.
        one_run: the interval in which one more run of ours would lie, 95 times out of 100; None
            for fewer than two runs.
    """

    recipe: str
    figure: Published
    variant: Variant
    epoch: int
    ours: Summary | None
    one_run: Interval | None

    @property
    def within(self) -> bool | None:
        """Whether the published figure is one that a run of ours would be expected to give.

        The figure counts as all numbers that are rounded to it; None if there is no telling.
        """
        if self.one_run is None:
            return None
        low, high = self.one_run
        return low <= self.figure.high and self.figure.low <= high


@dataclass(frozen=True)
class Reproduction:
    """What several recipes came to, beside what was published.

    Attributes:
        recipes: what was run, by name.
        rows: one per published figure, in the order of the recipes.
        records: one per run.
        quick: whether it was run only to see that everything runs.
    """

    recipes: dict[str, Recipe]
    rows: tuple[Row, ...]
    records: tuple[Record, ...]
    quick: bool = False

    @property
    def failures(self) -> tuple[Record, ...]:
        """The runs that diverged or broke."""
        return tuple(record for record in self.records if record.status != "done")

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "format": 1,
            "flexpool": flexpool.__version__,
            "quick": self.quick,
            "recipes": {name: dataclasses.asdict(r) for name, r in self.recipes.items()},
            "rows": [_nested(row) for row in self.rows],
            "failures": [
                {"folder": r.config.folder, "status": r.status, "message": r.message}
                for r in self.failures
            ],
        }


def with_figures() -> list[str]:
    """List the shipped recipes that have published figures.

    Example:
        >>> "nin-fashion" in with_figures(), "lenet5-digits" in with_figures()
        (True, False)
    """
    return [name for name in shipped() if load(name).published]


def reproduce(
    names: str | Sequence[str] = (),
    *,
    seeds: int | None = None,
    quick: bool = False,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    data_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = 0,
    log_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Reproduction:
    r"""Run recipes, and set what they come to beside what was published.

    From n runs with mean m and standard deviation s one more would be expected, 95 times out of
    100, within $m \pm t_{n-1}\, s \sqrt{1 + 1/n}$. A published figure in there is what one run of
    ours might have given; one outside is not, and something differs.

    Args:
        names: recipes, by name or by path of a TOML file; a list, or one. None given: every shipped
            one that has published figures.
        seeds: repetitions of each variant, an int > 0; None takes each recipe's own.
        quick: whether to see only that everything runs: one epoch on scikit-learn's digits, two
            seeds unless others are asked for, images of at most 64 x 64. Its figures say nothing.
        workers, threads, device, out, data_dir, checkpoint_every, keep, log_every, tensorboard,
            progress: as for :func:`flexpool.lab.compare`.

    Raises:
        ArgumentError: if a setting lies outside its domain, a recipe is unknown, or one has no
            published figures.
        DataError: if the data is damaged or cannot be had.
        StorageError: if ``out`` cannot be written.
        Interrupted: on Ctrl-C.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = reproduce(
        ...         "lenet5-sigmoid-fashion", quick=True, workers=1, out=folder, progress=False
        ...     )
        >>> [(row.variant.name, row.figure.measure, len(row.ours.values)) for row in found.rows]
        [('lenet5-sigmoid/avg', 'accuracy', 2)]
    """
    with called("reproduce"):
        chosen = [names] if isinstance(names, str) else list(names)
        if seeds is not None:
            check_int("seeds", seeds)
        recipes = {name: _recipe(name, seeds, quick) for name in chosen or with_figures()}
        # All of them first, so that what is wrong with the last is said before hours of training.
        recording = Recording(checkpoint_every, keep, log_every, tensorboard)
        benches = {
            name: Workbench(recipe, device, threads, workers, out, data_dir, recording)
            for name, recipe in recipes.items()
        }
        records = {
            name: bench.run(
                [
                    bench.config(variant, seed)
                    for seed in range(bench.recipe.seeds)
                    for variant in bench.recipe.variants
                ],
                progress,
            )
            for name, bench in benches.items()
        }
    rows = [
        _row(name, figure, recipe, records[name])
        for name, recipe in recipes.items()
        for figure in recipe.published
    ]
    distinct = {r.config.id: r for found in records.values() for r in found}
    return Reproduction(recipes, tuple(rows), tuple(distinct.values()), quick)


def _recipe(name: str, seeds: int | None, quick: bool) -> Recipe:
    recipe = load(name)
    if not recipe.published:
        rule = "to have published figures"
        instead = f"Choose among {', '.join(with_figures())}, or a TOML file with [[published]]."
        raise ArgumentError(expected("the recipe", rule, name, instead))
    if not quick:
        return recipe.changed(seeds=seeds)
    return recipe.changed(
        data=_QUICK_DATA,
        epochs=1,
        seeds=seeds or _QUICK_SEEDS,
        resize=None if recipe.resize is None else min(recipe.resize, _QUICK_SIDE),
    )


def _row(name: str, figure: Published, recipe: Recipe, records: Sequence[Record]) -> Row:
    variant = Variant.parse(figure.variant, framework=recipe.framework)
    epoch = min(figure.epoch or recipe.epochs, recipe.epochs)
    values = [
        getattr(record.curve[epoch - 1], _COLUMNS[figure.measure])
        for record in records
        if record.config.variant == variant
        and record.status == "done"
        # Not of a run that stopped before the figure's epoch.
        and len(record.curve) >= epoch
    ]
    return Row(name, figure, variant, epoch, summarise(values), prediction_interval(values))


def _nested(row: Row) -> dict[str, Any]:
    return {
        "recipe": row.recipe,
        "variant": row.variant.name,
        "measure": row.figure.measure,
        "epoch": row.epoch,
        "published": {
            "value": row.figure.times * float(row.figure.value),
            "rounded_from": [row.figure.low, row.figure.high],
            "source": row.figure.source,
            "note": row.figure.note,
        },
        "ours": None if row.ours is None else dataclasses.asdict(row.ours),
        "one_run": row.one_run,
        "within": row.within,
    }
