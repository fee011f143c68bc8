"""Published figures beside ours: the right numbers, the right verdict, and everything runs."""

import json

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from flexpool import lab
from flexpool.cli.app import app
from flexpool.errors import ArgumentError
from flexpool.lab import reproduction
from flexpool.lab.published import MEASURES
from flexpool.lab.statistics import prediction_interval

RECIPE = """
net = ["lenet5/max", "lenet5/avg"]
epochs = 2
seeds = 3
batch_size = 200

[[published]]
variant = "lenet5"
measure = "accuracy"
value = "0.5"
source = "one"

[[published]]
variant = "lenet5/avg"
measure = "train_loss"
epoch = 1
value = "99.0"
source = "another"
note = "far too large"

[[published]]
variant = "lenet5/avg"
measure = "top2"
value = "0.00"
source = "another"
"""


def flexpool(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "mine.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def found(recipe, out):
    return lab.reproduce(recipe, workers=1, out=out, progress=False)


def test_ours_are_the_numbers_of_the_runs(found):
    accuracy, loss, top2 = found.rows
    of = {
        name: [r.curve for r in found.records if r.config.variant.name == name]
        for name in ("lenet5/max", "lenet5/avg")
    }
    assert accuracy.ours.values == tuple(curve[-1].test_accuracy for curve in of["lenet5/max"])
    assert loss.ours.values == tuple(curve[0].train_loss for curve in of["lenet5/avg"])
    assert top2.ours.values == tuple(curve[-1].test_top2 for curve in of["lenet5/avg"])
    assert [row.epoch for row in found.rows] == [2, 1, 2]
    assert len(accuracy.ours.values) == 3
    assert accuracy.one_run == prediction_interval(accuracy.ours.values)
    assert accuracy.one_run[0] < accuracy.ours.ci95[0] < accuracy.ours.ci95[1]


def test_every_measure_is_a_column_of_the_curve():
    assert {*reproduction._COLUMNS} == {*MEASURES}


def row(one_run, value):
    figure = lab.Published("lenet5", "accuracy", value, "someone")
    return reproduction.Row("mine", figure, None, 1, None, one_run)


@pytest.mark.parametrize(
    ("one_run", "value", "within"),
    [
        ((0.980, 0.990), "0.985", True),
        ((0.980, 0.990), "0.979", False),
        ((0.980, 0.990), "0.991", False),
        ((0.980, 0.990), "0.9800", True),
        ((0.903, 0.909), "0.90", True),  # 0.904 is rounded to it
        ((0.906, 0.909), "0.90", False),
        ((0.906, 0.909), "0.9", True),  # so is 0.94 to this
        (None, "0.985", None),
    ],
)
def test_within_is_what_one_run_would_give(one_run, value, within):
    assert row(one_run, value).within is within


@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_prediction_interval_holds_95_of_100_new_values(n):
    draw = np.random.default_rng(n)
    samples, new = draw.normal(3, 2, (4000, n)), draw.normal(3, 2, 4000)
    held = 0
    for values, value in zip(samples, new, strict=True):
        low, high = prediction_interval(list(values))
        held += low <= value <= high
    assert stats.binomtest(held, 4000, 0.95).pvalue > 1e-3
    # An interval of the mean would not: it knows nothing of the spread of one value.
    mean = stats.t.interval(0.95, n - 1, samples.mean(1), stats.sem(samples, axis=1))
    assert ((mean[0] <= new) & (new <= mean[1])).mean() < 0.94


def test_too_few_values_say_nothing():
    assert prediction_interval([]) is prediction_interval([0.5]) is None
    assert prediction_interval([0.5, 0.5]) == (0.5, 0.5)


def test_the_command_prints_both_and_the_verdict(recipe, out, found):
    done = flexpool("reproduce", recipe, "--workers", "1", "--out", str(out))
    assert done.exit_code == 0
    lines = {
        tuple(line.split()[:2]): line for line in done.stdout.splitlines() if "lenet5/" in line
    }
    assert "below" in lines["lenet5/avg", "test"]
    assert "above" in lines["lenet5/avg", "training"]
    assert "99.0" in lines["lenet5/avg", "training"]
    assert f"{found.rows[0].ours.mean:.4f}" in lines["lenet5/max", "test"]
    assert "Published: one; another" in done.stdout
    assert "99.0: far too large" in done.stdout
    assert "6 of 6 runs are there already" in done.stderr


def test_json_says_the_same(recipe, out, found):
    done = flexpool("reproduce", recipe, "--workers", "1", "--out", str(out), "--json")
    printed = json.loads(done.stdout)
    assert [r["within"] for r in printed["rows"]] == [r.within for r in found.rows]
    assert printed["rows"][1]["published"] == {
        "value": 99.0,
        "rounded_from": [98.95, 99.05],
        "source": "another",
        "note": "far too large",
    }
    assert printed["rows"][1]["ours"]["values"] == [*found.rows[1].ours.values]
    assert printed["quick"] is False


def test_one_seed_is_too_few_to_judge(recipe, out):
    done = flexpool("reproduce", recipe, "--seeds", "1", "--workers", "1", "--out", str(out))
    assert "2 of 2 runs are there already" in done.stderr
    assert done.stdout.count("too few seeds") == 3


def test_quick_runs_a_published_recipe_in_seconds(tmp_path):
    done = flexpool(
        "reproduce", "lenet5-mnist", "--quick", "--workers", "1", "--out", str(tmp_path)
    )
    assert done.exit_code == 0
    assert "lenet5-mnist: digits, 1 epoch, 2 seeds" in done.stdout
    assert "0.9810" in done.stdout
    assert "These figures say nothing" in " ".join(done.stdout.split())
    assert not any(word in done.stdout for word in ("within", "below", "above"))


def test_quick_makes_large_images_small():
    recipe = reproduction._recipe("nin-fashion", None, quick=True)
    assert (recipe.resize, recipe.data, recipe.epochs, recipe.seeds) == (64, "digits", 1, 2)
    assert reproduction._recipe("nin-fashion", 5, quick=False).seeds == 5
    assert reproduction._recipe("lenet5-mnist", 4, quick=True).seeds == 4


def test_without_names_it_is_every_recipe_with_figures():
    assert reproduction.with_figures() == [
        *("lenet5-mnist", "lenet5-nopool-mnist", "lenet5-sigmoid-fashion", "nin-fashion"),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"names": "lenet5-digits"},
            "reproduce: expected the recipe to have published figures, got 'lenet5-digits'. "
            "Choose among lenet5-mnist, lenet5-nopool-mnist, lenet5-sigmoid-fashion, nin-fashion, "
            "or a TOML file with [[published]].",
        ),
        ({"names": ["lenet5-mnist"], "seeds": 0}, "reproduce: expected seeds to be an int > 0"),
        ({"names": "lenet-mnist"}, "reproduce: unknown recipe 'lenet-mnist'. Did you mean"),
        ({"workers": 0, "quick": True}, "reproduce: expected workers to be an int > 0, got 0."),
    ],
)
def test_refusals(arguments, text, tmp_path):
    with pytest.raises(ArgumentError) as caught:
        lab.reproduce(**arguments, out=tmp_path)
    assert str(caught.value).startswith(text)
