"""Recipes: what a file may say, and what is refused."""

import dataclasses

import pytest

from flexpool.errors import ArgumentError
from flexpool.lab.recipe import Recipe, RunConfig, Variant, load, shipped


def config(**changes):
    settings = {
        "net": "lenet5",
        "downsampling": "max",
        "data": "digits",
        "data_fingerprint": "f" * 64,
        "seed": 0,
        "epochs": 1,
        "batch_size": 64,
        "lr": 0.001,
        "scaling": "standard",
        "device": "cpu",
        "threads": 1,
        "torch": "2.13.0",
    }
    return RunConfig(**settings | changes)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_loads(name):
    assert load(name).variants


def test_the_published_experiment_is_shipped_as_it_was():
    recipe = load("lenet5-mnist")
    assert (recipe.data, recipe.epochs, recipe.batch_size) == ("mnist", 10, 64)
    assert (recipe.lr, recipe.scaling) == (0.001, "raw")
    assert [variant.name for variant in recipe.variants] == [
        "lenet5/max",
        "lenet5-nopool/strided",
        "lenet5-control/max",
    ]


def test_a_file_gives_the_same_recipe_as_its_values(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('net = ["lenet5", "lenet5/avg"]\ndata = "mnist"\nepochs = 3\nlr = 0.01\n')
    assert load(path) == Recipe(net=("lenet5", "lenet5/avg"), data="mnist", epochs=3, lr=0.01)


def test_nets_times_downsamplings():
    recipe = Recipe(net="lenet5, lenet5-nopool/strided", downsampling="max,avg")
    assert [v.name for v in recipe.variants] == [
        "lenet5/max",
        "lenet5/avg",
        "lenet5-nopool/strided",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an int > 0, got 0."),
        ({"epochs": 1.5}, "expected epochs to be an int > 0, got 1.5."),
        ({"seeds": -1}, "expected seeds to be an int > 0, got -1."),
        ({"seeds": True}, "expected seeds to be an int > 0, got True."),
        ({"batch_size": "64"}, "expected batch_size to be an int > 0, got '64'."),
        ({"lr": 0}, "expected lr to be a finite number > 0, got 0."),
        ({"lr": float("inf")}, "expected lr to be a finite number > 0, got inf."),
        ({"lr": "fast"}, "expected lr to be a number > 0, got 'fast'."),
        ({"data": 3}, "expected data to be a string, got 3."),
        (
            {"data": "mnits"},
            "unknown data set 'mnits'. Did you mean 'mnist'? Known: digits, mnist, fashion_mnist, "
            "cifar10, cifar100, cifar100-coarse, folder:PATH.",
        ),
        ({"net": ()}, "expected net to name at least one net, got ()."),
        ({"net": 5}, "expected net to be a name or a list of names, got 5."),
        (
            {"net": "lenet5,lenet5/max"},
            "expected net and downsampling to give different variants, "
            "got ['lenet5/max', 'lenet5/max'].",
        ),
        (
            {"net": "lenet5/avg", "downsampling": "max"},
            "expected downsampling to be left out where every net names its own, got ('max',). "
            "Write the nets without '/', or leave downsampling out.",
        ),
        ({"resize": 0}, "expected resize to be an int > 0, got 0."),
        ({"momentum": 1}, "expected momentum to be a finite number in [0, 1), got 1."),
        ({"weight_decay": -1.0}, "expected weight_decay to be a finite number >= 0, got -1.0."),
        (
            {"momentum": 0.9},
            "expected momentum to be 0 where the optimiser is adam, got 0.9. Use optimiser sgd.",
        ),
        ({"optimiser": "sgdm"}, "unknown optimiser 'sgdm'. Did you mean 'sgd'? Known: adam, sgd."),
        (
            {"schedule": "step"},
            "unknown schedule 'step'. Did you mean 'steps'? Known: constant, steps, cosine.",
        ),
        (
            {"schedule": "steps"},
            "expected milestones to be given with the schedule steps, and with no other, got ().",
        ),
        (
            {"milestones": [3]},
            "expected milestones to be given with the schedule steps, and with no other, got (3,).",
        ),
        (
            {"schedule": "steps", "milestones": [3, 2]},
            "expected milestones to be rising, got [3, 2].",
        ),
        (
            {"schedule": "steps", "milestones": [0]},
            "expected milestones to be an int > 0, got 0.",
        ),
        (
            {"schedule": "steps", "milestones": 3},
            "expected milestones to be a list of ints, got 3.",
        ),
        (
            {"drop": 0.5},
            "expected drop to be left out where the schedule is not steps, got 0.5.",
        ),
        (
            {"initialisation": "xavier"},
            "unknown initialisation 'xavier'. Did you mean 'xavier-uniform'? "
            "Known: own, standard, xavier-uniform, kaiming-uniform.",
        ),
        (
            {"resize": 56, "framework": "numpy"},
            "expected resize to be left out where the framework is numpy, got 56.",
        ),
        (
            {"scaling": "standart"},
            "unknown scaling 'standart'. Did you mean 'standard'? Known: standard, unit, raw.",
        ),
    ],
)
def test_values_outside_their_domain_are_refused(values, message):
    with pytest.raises(ArgumentError) as caught:
        Recipe(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3", "unknown key 'epoch'. Did you mean 'epochs'? Known: net, downsampling, data"),
        ("epochs = 0", "expected epochs to be an int > 0, got 0."),
        ("epochs = ", "not valid TOML: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(ArgumentError) as caught:
        load(path)
    assert str(caught.value).startswith(f"recipe {path}: {message}")


PUBLISHED = """
net = ["lenet5"]
epochs = 3

[[published]]
variant = "lenet5"
measure = "accuracy"
value = "0.9810"
source = "a tutorial"
"""


def test_published_figures_are_data_of_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PUBLISHED + "epoch = 2\n")
    (figure,) = load(path).published
    assert (figure.variant, figure.measure, figure.printed, figure.epoch) == (
        *("lenet5", "accuracy", "0.9810", 2),
    )
    assert (figure.low, figure.high) == (0.98095, 0.98105)
    by_16 = dataclasses.replace(figure, value="0.069109", times=16)
    assert by_16.printed == "1.1057"
    assert by_16.low == pytest.approx(16 * 0.0691085)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("accuracy", "top5", "unknown measure 'top5'."),
        ('"0.9810"', "0.981", "expected value to be a string, got 0.981."),
        (
            '"0.9810"',
            '"about 1"',
            "expected value to be a number as it was printed, in quotes, got 'about 1'. "
            'Write value = "0.90".',
        ),
        (
            'variant = "lenet5"',
            'variant = "lenet5/avg"',
            "expected published to be of a variant the recipe trains (lenet5/max), "
            "got 'lenet5/avg'.",
        ),
        ('variant = "lenet5"', 'variant = "lenet6"', "unknown net 'lenet6'."),
        ("source", "sauce", "unknown key of published 'sauce'. Did you mean 'source'?"),
        ('source = "a tutorial"', "", "expected published to say its source, got {'variant'"),
        (
            'source = "a tutorial"',
            'source = "a tutorial"\nepoch = 4',
            "expected published to be of an epoch up to 3, got 4.",
        ),
        (
            'source = "a tutorial"',
            'source = "a tutorial"\ntimes = 0',
            "expected times to be a finite number > 0, got 0.",
        ),
        (
            PUBLISHED,
            'published = "0.98"',
            "expected published to be a list of tables, got '0.98'.",
        ),
    ],
)
def test_published_figures_are_checked(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(PUBLISHED.replace(old, new))
    with pytest.raises(ArgumentError) as caught:
        load(path)
    assert str(caught.value).startswith(f"recipe {path}: {message}")


def test_the_documents_settings_are_shipped():
    sigmoid, nin = load("lenet5-sigmoid-fashion"), load("nin-fashion")
    assert (sigmoid.optimiser, sigmoid.lr, sigmoid.batch_size) == ("sgd", 0.9, 200)
    assert (sigmoid.initialisation, sigmoid.scaling, sigmoid.epochs) == (
        *("xavier-uniform", "unit", 1000),
    )
    assert (nin.optimiser, nin.lr, nin.batch_size, nin.epochs) == ("adam", 0.001, 16, 3)
    assert (nin.resize, nin.data) == (224, "fashion_mnist")
    printed = {
        (name, f.variant, f.measure): f.printed for name in shipped() for f in load(name).published
    }
    assert printed == {
        ("lenet5-mnist", "lenet5/max", "accuracy"): "0.9810",
        ("lenet5-mnist", "lenet5/max", "top2"): "0.9932",
        ("lenet5-mnist", "lenet5-nopool/strided", "accuracy"): "0.9837",
        ("lenet5-mnist", "lenet5-nopool/strided", "top2"): "0.9964",
        ("lenet5-nopool-mnist", "lenet5-nopool/strided", "accuracy"): "0.9837",
        ("lenet5-nopool-mnist", "lenet5-nopool/strided", "top2"): "0.9964",
        ("lenet5-sigmoid-fashion", "lenet5-sigmoid/avg", "accuracy"): "0.90",
        ("nin-fashion", "nin/max", "train_loss"): "1.1057",
        ("nin-fashion", "nin/max", "train_accuracy"): "0.60755",
        ("nin-fashion", "nin/max", "accuracy"): "0.7018",
    }


def test_missing_recipes_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="cannot read the recipe .*none.toml"):
        load(tmp_path / "none.toml")
    with pytest.raises(ArgumentError, match="unknown recipe 'lenet5-digit'. Did you mean"):
        load("lenet5-digit")


def test_everything_that_determines_a_run_changes_its_id():
    plain = config()
    for field in dataclasses.fields(RunConfig):
        value = getattr(plain, field.name)
        other = value + 1 if isinstance(value, int | float) else f"{value}-other"
        assert dataclasses.replace(plain, **{field.name: other}).id != plain.id, field.name


def test_the_id_is_the_same_in_every_process():
    assert config().id == config().id
    assert config().folder == f"lenet5-max-digits-seed0-{config().id}"


def test_a_variant_keeps_its_own_downsampling():
    assert Variant.parse("lenet5/avg", "max").name == "lenet5/avg"
    assert Variant.parse("lenet5-nopool").name == "lenet5-nopool/strided"
