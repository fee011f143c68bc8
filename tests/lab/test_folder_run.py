"""A folder of images in the whole laboratory: trained, kept, found again, by others too."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from flexpool import lab
from flexpool.errors import DataError
from flexpool.lab.executors import Job
from flexpool.lab.recipe import Recipe

SMALL = {"net": "lenet5", "epochs": 1, "batch_size": 8, "progress": False, "threads": 1}


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, bright in (("cat", 60), ("dog", 160)):
        (tmp_path / "my pets" / name).mkdir(parents=True)
        for n in range(20):
            pixels = rng.integers(0, 90, (28, 28, 3), np.uint8) + np.uint8(bright)
            Image.fromarray(pixels).save(tmp_path / "my pets" / name / f"{n}.png")
    return tmp_path / "my pets"


def test_a_run_is_found_again_wherever_the_program_starts(pets, tmp_path, monkeypatch):
    record = lab.train(data="folder:my pets", out=tmp_path / "out", **SMALL)
    assert record.status == "done", record.message
    assert record.inputs.classes == ("cat", "dog")
    assert record.inputs.image == (3, 28, 28)
    config = record.config
    assert config.data == f"folder:{pets}"
    assert config.folder == f"lenet5-max-my_pets-seed0-{config.id}"
    monkeypatch.chdir("/")
    # As a worker process does it, from the configuration alone.
    assert Job(tmp_path / "out").run(config, lambda progress: None) == record


def test_where_the_folder_lies_does_not_make_another_run(pets, tmp_path):
    first = lab.train(data="folder:my pets", out=tmp_path / "out", **SMALL)
    shutil.move(pets, tmp_path / "elsewhere" / "my pets")
    second = lab.train(data="folder:elsewhere/my pets", out=tmp_path / "out", **SMALL)
    assert second == first
    Image.new("RGB", (28, 28)).save(tmp_path / "elsewhere" / "my pets" / "cat" / "0.png")
    third = lab.train(data="folder:elsewhere/my pets", out=tmp_path / "out", **SMALL)
    assert third.config.id != first.config.id


def test_a_folder_that_changes_meanwhile_is_not_trained_on(pets, tmp_path):
    config = lab.train(data="folder:my pets", out=tmp_path / "out", **SMALL).config
    Image.new("RGB", (28, 28)).save(pets / "cat" / "0.png")
    with pytest.raises(DataError, match="was changed since this comparison began"):
        Job(tmp_path / "other").run(config, lambda progress: None)


def test_a_comparison_in_two_processes_with_images_of_several_sizes(pets, tmp_path):
    Image.new("RGB", (40, 30)).save(pets / "cat" / "0.png")
    recipe = Recipe(
        net=("lenet5/max", "lenet5/avg"), data="folder:my pets", epochs=1, seeds=1, resize=20
    )
    with pytest.raises(DataError, match="expected the images of .* to be of one size"):
        lab.compare(recipe=Recipe(data=recipe.data), out=tmp_path, progress=False)
    done = lab.compare(recipe, out=tmp_path / "out", workers=2, progress=False)
    assert [record.status for record in done.records] == ["done", "done"]
    assert done.records[0].inputs.image == (3, 20, 20)
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved["data"]["image"] == [3, 20, 20]
    assert "my pets" in (tmp_path / "out" / "report.html").read_text()
