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
    assert len(load(name).variants) > 1


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
            "unknown data set 'mnits'. Did you mean 'mnist'? Known: digits, mnist, fashion_mnist.",
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
