"""A comparison made of records written by hand: numbers, verdict and files."""

import csv
import json

import pandas as pd
import pytest

from flexpool.lab.comparison import Comparison
from flexpool.lab.recipe import Recipe, Variant
from flexpool.lab.report import write
from flexpool.lab.report.marks import spread
from flexpool.lab.report.rows import HEADINGS, rows
from flexpool.lab.store import Epoch, Record


@pytest.fixture
def comparison(config):
    """Build a comparison from final accuracies: {variant: [one per seed, None for a failure]}."""

    def build(**settings):
        accuracies = settings.pop("accuracies")
        records = []
        for name, values in accuracies.items():
            variant = Variant.parse(name)
            for seed, accuracy in enumerate(values):
                run = config(net=variant.net, downsampling=variant.downsampling, seed=seed)
                if accuracy is None:
                    curve = (Epoch(1, float("nan"), 0.1, float("nan"), 0.1, 0.2, 2.0),)
                    message = "the training loss became nan in epoch 1"
                    records.append(Record(run, "diverged", message, 100, 1000, curve))
                    continue
                curve = tuple(
                    Epoch(e, 1.0 / e, 0.5, 0.5, accuracy * e / 2, accuracy * e / 2 + 0.001, 2.0 * e)
                    for e in (1, 2)
                )
                records.append(Record(run, "done", "", 100, 1000, curve))
        recipe = Recipe(net=tuple(accuracies), seeds=len(values), epochs=2)
        data = {"name": "digits", "fingerprint": "few", "source": "embedded", "train_images": 200}
        data |= {"test_images": 100, "image": [1, 28, 28], "classes": ["0"]}
        environment = {"python": "3.11", "versions": {"torch": "2.13"}, "workers": 2}
        return Comparison(recipe, tuple(records), data, environment)

    return build


def test_better_worse_and_no_difference_each_get_their_words(comparison):
    verdict = comparison(
        accuracies={
            "lenet5/max": [0.980, 0.981, 0.982, 0.983],
            "lenet5/avg": [0.990, 0.991, 0.993, 0.993],
            "lenet5/slice": [0.950, 0.952, 0.952, 0.954],
            "lenet5/sum": [0.981, 0.980, 0.983, 0.982],
        }
    ).verdict
    assert verdict == (
        "Beside lenet5/max, over 4 paired seeds, lenet5/avg is better by 1.03 points [0.95, 1.10]; "
        "lenet5/slice is worse by 2.95 points [2.86, 3.04]; no difference shown for lenet5/sum."
    )


def test_no_difference_is_said_in_so_many_words(comparison):
    verdict = comparison(
        accuracies={
            "lenet5/max": [0.98, 0.97, 0.99],
            "lenet5/avg": [0.97, 0.98, 0.99],
            "lenet5/sum": [0.99, 0.97, 0.98],
        }
    ).verdict
    assert verdict.startswith(
        "No difference shown between lenet5/max and lenet5/avg or lenet5/sum over 3 paired seeds "
        "(smallest Holm-corrected p 1; a true difference under about "
    )


def test_one_seed_shows_nothing(comparison):
    result = comparison(accuracies={"lenet5/max": [0.9], "lenet5/avg": [0.5]})
    assert result.verdict.startswith("No difference shown: it takes at least two finished seeds")
    assert rows(result)[0][HEADINGS.index("accuracy, %")] == "90.00 (one seed, no interval)"


def test_one_variant_has_nothing_beside_it(comparison):
    result = comparison(accuracies={"lenet5/max": [0.9, 0.8]})
    assert result.verdict.startswith("Nothing to compare lenet5/max with")


def test_failures_are_counted_named_and_left_out_of_pairs(comparison, tmp_path, few):
    result = comparison(
        accuracies={
            "lenet5/max": [0.90, None, 0.92, 0.93],
            "lenet5/avg": [0.91, 0.99, None, 0.945],
        }
    )
    first, second = result.variants
    assert (first.n, first.failed, second.n, second.failed) == (3, 1, 3, 1)
    assert second.difference.n == 2
    assert second.difference.mean == pytest.approx((0.01 + 0.015) / 2)
    assert result.verdict.endswith("(2 runs of 8 failed and are left out.)")
    write(result, tmp_path, few)
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert [(f["name"], f["seed"], f["status"]) for f in saved["failures"]] == [
        ("lenet5/max", 1, "diverged"),
        ("lenet5/avg", 2, "diverged"),
    ]
    assert "the training loss became nan" in (tmp_path / "report.html").read_text()


def test_a_variant_of_which_nothing_is_left_is_still_reported(comparison, tmp_path, few):
    result = comparison(accuracies={"lenet5/max": [0.9, 0.8], "lenet5/avg": [None, None]})
    write(result, tmp_path, few)
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert saved["variants"][1]["accuracy"] == {"mean": None, "ci95": None, "values": []}
    assert saved["variants"][1]["failed"] == 2


def test_the_p_values_are_corrected_for_their_number(comparison):
    values = {
        "lenet5/max": [0.980, 0.981, 0.982, 0.983],
        "lenet5/avg": [0.981, 0.983, 0.982, 0.985],
    }
    alone = comparison(accuracies=dict(values)).variants[1]
    among = comparison(
        accuracies=values | {"lenet5/sum": [0.9, 0.95, 0.99, 0.98], "lenet5/slice": [0.99] * 4}
    ).variants[1]
    assert alone.p == alone.difference.p == among.difference.p
    assert among.p > alone.p


def test_the_json_holds_what_it_promises(comparison, tmp_path, few):
    result = comparison(
        accuracies={"lenet5/max": [0.90, 0.92], "lenet5-nopool/strided": [0.95, 0.96]}
    )
    write(result, tmp_path, few)
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert {"settings", "environment", "variants", "verdict", "data", "failures"} <= saved.keys()
    first, second = saved["variants"]
    assert first["name"] == "lenet5/max"
    assert (first["net"], first["downsampling"]) == ("lenet5", "max")
    assert (first["params"], first["macs"], first["n"]) == (100, 1000, 2)
    assert first["accuracy"]["values"] == [0.90, 0.92]
    assert first["accuracy"]["mean"] == pytest.approx(0.91)
    low, high = first["accuracy"]["ci95"]
    assert low < 0.91 < high
    assert first["top2"]["mean"] == pytest.approx(0.911)
    assert first["train_seconds_per_epoch"] == 3.0  # the median of 2, 4, 2, 4
    assert first["difference"] is None
    difference = second["difference"]
    assert difference["to"] == "lenet5/max"
    assert difference["mean"] == pytest.approx(0.045)
    assert {"ci95", "p", "p_uncorrected", "seeds_needed", "resolvable", "n"} <= difference.keys()


def test_tables(comparison, tmp_path, few):
    result = comparison(accuracies={"lenet5/max": [0.90, 0.92], "lenet5/avg": [0.95, 0.96]})
    assert isinstance(result.table, pd.DataFrame)
    assert list(result.table.index) == ["lenet5/max", "lenet5/avg"]
    assert len(result.runs) == 4
    assert len(result.curves) == 8
    write(result, tmp_path, few)
    lines = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [float(line["accuracy"]) for line in lines] == pytest.approx([0.91, 0.955])
    assert float(lines[1]["difference"]) == pytest.approx(0.045)


def test_pictures_are_pictures(comparison, tmp_path, few):
    write(
        comparison(accuracies={"lenet5/max": [0.9, 0.8], "lenet5/avg": [0.7, 0.9]}), tmp_path, few
    )
    names = {path.name for path in tmp_path.glob("*.png")}
    assert names == {"accuracy.png", "differences.png", "curves.png", "parameters.png"}
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_titles_cannot_break_out_of_the_page(comparison, tmp_path, few):
    import dataclasses

    result = comparison(accuracies={"lenet5/max": [0.9, 0.8], "lenet5/avg": [0.7, 0.9]})
    title = "<script>alert(1)</script>"
    result = dataclasses.replace(result, recipe=dataclasses.replace(result.recipe, title=title))
    write(result, tmp_path, few)
    assert title not in (tmp_path / "report.html").read_text()


def test_variants_of_equal_size_stand_side_by_side(comparison):
    result = comparison(accuracies={"lenet5/max": [0.9], "lenet5/avg": [0.8], "lenet5/sum": [0.7]})
    left, middle, right = spread(result).values()
    assert left < middle == 100.0 < right
