"""The pictures of a run: the right numbers are drawn, of the right image and the right layer."""

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import nn
from typer.testing import CliRunner

from flexpool import lab
from flexpool.cli.app import app
from flexpool.errors import ArgumentError, DataError
from flexpool.lab import data, nets, pictures
from flexpool.lab.pictures.canvas import picture
from flexpool.lab.pictures.curves import curves, turning_point
from flexpool.lab.pictures.filters import filters, first_filters
from flexpool.lab.pictures.maps import (
    Reduction,
    class_map_picture,
    class_maps,
    feature_maps,
    reductions,
)
from flexpool.lab.pictures.predictions import confusion, count, mistakes, worst
from flexpool.lab.report import nets as shown_nets
from flexpool.lab.store import Epoch

NAMES = ("cat", "dog", "owl")


def shown(axes):
    """The array that an axes shows."""
    return np.asarray(axes.images[-1].get_array())


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def built(name, image, **options):
    torch.manual_seed(0)
    return nets.build(name, image=image, **options).eval()


@pytest.mark.parametrize(
    ("net", "image", "wanted"),
    [
        ("lenet5", (1, 28, 28), ["down1", "down2"]),
        ("lenet5-nopool", (1, 28, 28), ["conv2", "conv4"]),
        ("lenet5-control", (1, 28, 28), ["down2", "down4"]),
        ("lenet5-1998", (1, 28, 28), None),
        ("nin", (1, 64, 64), ["mlpconv1.conv", "down1", "down2", "down3"]),
        ("resnet20", (3, 32, 32), ["block2_1.main.conv1", "block3_1.main.conv1"]),
        ("resnet20/max", (3, 32, 32), ["block2_1.main.down", "block3_1.main.down"]),
        ("cnn-c", (3, 32, 32), ["down1", "down2"]),
        ("allcnn-c", (3, 32, 32), ["conv3", "conv6"]),
    ],
)
def test_the_downsamplings_of_each_net_are_found(net, image, wanted):
    net, _, down = net.partition("/")
    found = reductions(built(net, image, downsampling=down or None), torch.zeros(1, *image))
    if wanted is None:  # its name for them is the paper's
        assert len(found) == 2
    else:
        assert [r.name for r in found] == wanted
    for r in found:
        assert 1.5 < r.before.shape[1] / r.after.shape[1] < 6
        assert r.keeps_channels == (r.kind != "Conv2d")


class Careless(nn.Module):
    """Changes in place what its downsampling took and gave."""

    def __init__(self):
        super().__init__()
        self.down1 = nn.MaxPool2d(2)

    def forward(self, x):
        y = self.down1(x)
        x.zero_()
        return y.relu_()


def test_before_and_after_are_what_the_layer_took_and_gave():
    model = Careless()
    x = torch.arange(-12.0, 4.0).reshape(1, 1, 4, 4)
    (found,) = reductions(model, x.clone())
    assert found.before.tolist() == x[0].tolist()
    assert found.after.tolist() == [[[-7, -5], [1, 3]]]
    assert not model.down1._forward_hooks


def test_the_maps_below_are_those_above():
    before = np.zeros((9, 4, 4), np.float32)
    before[:, 0, 0] = [*range(1, 9), 0]  # the last varies least
    after = np.zeros((9, 2, 2), np.float32)
    after[8, 0, 0] = 1
    figure = Figure()
    image = np.zeros((1, 4, 4), np.uint8)
    feature_maps(figure, image, [Reduction("down1", "SomePool2d", before, after)])
    drawn = [axes.get_title() for axes in figure.axes if axes.images][1:]
    assert drawn == [str(n) for n in range(8)] * 2
    figure = Figure()
    feature_maps(figure, image, [Reduction("conv1", "Conv2d", before, after)])
    drawn = [axes.get_title() for axes in figure.axes if axes.images][1:]
    assert drawn[:8] == [str(n) for n in range(8)]
    assert "8" in drawn[8:]


def test_maps_before_and_after_stand_below_each_other_on_one_scale():
    model = built("lenet5", (1, 28, 28))
    image = np.random.default_rng(0).integers(0, 256, (1, 28, 28), np.uint8)
    found = reductions(model, torch.from_numpy(image[None] / 255).float())
    figure = Figure()
    feature_maps(figure, image, found)
    grid = [axes for axes in figure.axes if axes.images]
    assert len(grid) == 1 + 6 + 6 + 8 + 8
    np.testing.assert_array_equal(shown(grid[0]), image[0])
    for column in range(6):
        before, after = grid[1 + column], grid[7 + column]
        np.testing.assert_array_equal(shown(before), found[0].before[column])
        np.testing.assert_array_equal(shown(after), found[0].after[column])
        assert before.images[0].get_clim() == after.images[0].get_clim()
    drawn = [int(axes.get_title()) for axes in grid[13:21]]
    spread = found[1].before.std(axis=(1, 2))
    assert set(drawn) == {*np.argsort(-spread)[:8].tolist()}
    np.testing.assert_array_equal(shown(grid[21]), found[1].after[drawn[0]])
    text = figure.subfigs[1].get_suptitle()
    assert text == "down1, MaxPool2d: 6 × 28 × 28 → 6 × 14 × 14"


def test_class_maps_average_to_the_outputs():
    model = built("nin", (1, 64, 64), classes=3)
    with torch.no_grad():
        model.mlpconv4.mix2.bias += torch.tensor([0.2, 0.6, 0.1])
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = class_maps(model, x, 3)
    with torch.no_grad():
        outputs = model(x)[0].numpy()
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), outputs, rtol=1e-5)
    figure = Figure()
    class_map_picture(figure, np.zeros((1, 64, 64), np.uint8), maps, NAMES, true=2)
    expected = np.exp(outputs) / np.exp(outputs).sum()
    best = int(outputs.argmax())
    assert titles(figure) == [
        "is: owl",
        *(
            f"{n}\n{o:.2f}, {100 * p:.0f} %"
            for n, o, p in zip(NAMES, outputs, expected, strict=True)
        ),
    ]
    weights = [axes.title.get_weight() for axes in figure.axes[1:4]]
    assert [w == "bold" for w in weights] == [number == best for number in range(3)]
    np.testing.assert_array_equal(shown(figure.axes[2]), maps[1])


def test_of_many_classes_the_likeliest_are_drawn():
    maps = np.random.default_rng(0).random((100, 2, 2)).astype(np.float32)
    maps[77] += 5
    figure = Figure()
    class_map_picture(
        figure, np.zeros((3, 8, 8), np.uint8), maps, [f"c{n}" for n in range(100)], None
    )
    names = [title.split("\n")[0] for title in titles(figure)]
    assert len(names) == 13
    assert names[0] == "the image"
    assert "c77" in names


@pytest.mark.parametrize(
    ("net", "image", "classes"), [("lenet5", (1, 28, 28), 10), ("resnet20", (3, 32, 32), 64)]
)
def test_nets_without_class_maps_have_none(net, image, classes):
    model = built(net, image, classes=classes)  # the ResNet averages 64 maps too, but of no class
    assert class_maps(model, torch.rand(1, *image), classes) is None


def test_curves_mark_where_overfitting_begins():
    losses = [0.9, 0.5, 0.4, 0.45, 0.6]
    rows = [Epoch(n, 1 / n, 0.5 + n / 10, loss, 0.8, 0.9, 1.0) for n, loss in enumerate(losses, 1)]
    assert turning_point(rows) == 3
    figure = Figure()
    curves(figure, rows, "lenet5/max seed 0")
    above, below = figure.axes
    assert above.lines[0].get_ydata() == pytest.approx([1 / n for n in range(1, 6)])
    assert above.lines[1].get_ydata() == pytest.approx(losses)
    assert below.lines[0].get_ydata() == pytest.approx([60, 70, 80, 90, 100])
    assert below.lines[1].get_ydata() == pytest.approx([80] * 5)
    assert [*above.lines[2].get_xdata()] == [3, 3]
    assert above.texts[0].get_text() == " lowest test loss: epoch 3"
    figure = Figure()
    curves(figure, rows[:3], "")
    assert turning_point(rows[:3]) is None
    assert len(figure.axes[0].lines) == 2


def test_filters_have_one_scale_with_0_in_the_middle():
    weights = np.zeros((2, 1, 2, 2))
    weights[0, 0] = [[1, 0], [0, -4]]
    figure = Figure()
    filters(figure, "conv1", weights)
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-4, 4)
    assert image.to_rgba(np.array([4.0]))[0, 0] > image.to_rgba(np.array([4.0]))[0, 2]  # red: > 0
    np.testing.assert_array_equal(shown(figure.axes[0]), weights[0, 0])
    assert figure.get_suptitle() == "conv1: 2 filters of 2 × 2"
    colour = np.zeros((1, 3, 1, 1))
    colour[0, :, 0, 0] = 2, 0, -1
    figure = Figure()
    filters(figure, "conv1", colour)
    assert shown(figure.axes[0])[0, 0].tolist() == [1, 0.5, 0.25]
    assert first_filters(nn.Sequential(nn.Linear(2, 2))) is None


def test_the_confusion_matrix_has_what_is_in_rows():
    labels, taken = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0])
    counts = count(labels, taken, 3)
    assert counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 1]]
    figure = Figure()
    confusion(figure, counts, NAMES)
    (axes,) = figure.axes
    assert axes.get_title() == "3 of 6 right: 50.00 %"
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        "cat   33 %",
        "dog   100 %",
        "owl   50 %",
    ]
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {
        ((0, 0), "1"),
        ((1, 0), "2"),
        ((1, 1), "1"),
        ((0, 2), "1"),
        ((2, 2), "1"),
    }
    assert shown(axes)[0, 1] == pytest.approx(np.sqrt(2 / 3))


def test_mistakes_are_drawn_the_surest_first():
    labels = np.array([0, 1, 2, 0])
    probabilities = np.array([[0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    images = np.arange(4, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(2, 3)
    assert worst(labels, probabilities).tolist() == [2, 0, 3]
    figure = Figure()
    mistakes(figure, images, labels, probabilities, NAMES, most=2)
    assert titles(figure) == ["owl\n→ cat, 90 %", "cat\n→ dog, 60 %"]
    assert [shown(axes)[0, 0] for axes in figure.axes[:2]] == [2, 0]
    assert figure.get_suptitle() == "3 of 4 test images taken for another class, the 2 surest"
    figure = Figure()
    mistakes(figure, images[1:2], labels[1:2], probabilities[1:2], NAMES)
    assert figure.get_suptitle() == "0 of 1 test images taken for another class"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, lab.train("lenet5", epochs=2, out=out, progress=False)


def test_all_pictures_of_a_run(run, tmp_path):
    out, record = run
    folder = out / "runs" / record.config.folder
    files = pictures.draw(folder)
    names = ["samples", "curves", "filters", "feature_maps", "confusion", "mistakes"]
    assert files == [folder / "pictures" / f"{name}.png" for name in names]
    assert all(min(imread(file).shape[:2]) > 50 for file in files)
    assert sum(file.stat().st_size for file in files) < 600_000
    before = {file.name: file.read_bytes() for file in files}
    again = pictures.draw(record.config.id, image=5, to=tmp_path / "here", out=out)
    changed = [file.stem for file in again if file.read_bytes() != before[file.name]]
    assert changed == ["feature_maps"]


def test_what_a_run_has_not_is_not_drawn(run, tmp_path):
    out, record = run
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((out / "runs" / record.config.folder / "weights.safetensors").read_bytes())
    files = pictures.draw(alone, image=0)
    assert files[0] == tmp_path / "pictures" / "samples.png"
    assert "curves" not in [file.stem for file in files]


def test_a_checkpoint_has_the_curves_up_to_it(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "curves", lambda figure, curve, title: drawn.append(curve))
    record = lab.train("lenet5", epochs=3, keep=3, out=tmp_path, progress=False)
    kept = tmp_path / "runs" / record.config.folder / "checkpoints"
    second = next(kept.glob("epoch02-*"))
    alone = tmp_path / "elsewhere.safetensors"
    alone.write_bytes(second.read_bytes())
    for file in (second, alone):
        pictures.draw(file, to=tmp_path / "pictures")
    assert drawn == [record.curve[:2]] * 2


def test_an_image_from_a_file(run, tmp_path):
    out, record = run
    path = tmp_path / "seven.png"
    path.write_bytes(picture(lambda figure: figure.text(0.4, 0.3, "7", size=60), width=1, height=1))
    files = pictures.draw(record.config.id, image=path, to=tmp_path, out=out)
    assert tmp_path / "feature_maps.png" in files


@pytest.mark.parametrize("image", [-1, 540, True, 1.5])
def test_an_image_that_is_not_there(run, image):
    out, record = run
    with pytest.raises(ArgumentError, match=r"pictures: expected image to be (the number|an int)"):
        pictures.draw(record.config.id, image=image, out=out)


def test_other_data_than_it_was_trained_on_is_refused(run, monkeypatch):
    out, record = run
    other = dataclasses.replace(data.load("digits"), fingerprint="other")
    monkeypatch.setattr(data, "load", lambda *arguments: other)
    with pytest.raises(DataError, match="expected the images of digits that this run was trained"):
        pictures.draw(record.config.id, out=out)


def test_a_net_of_numpy_is_drawn_too(tmp_path):
    record = lab.train("lenet5", epochs=1, framework="numpy", out=tmp_path, progress=False)
    files = pictures.draw(record.config.id, out=tmp_path)
    assert [file.stem for file in files][1:4] == ["curves", "filters", "feature_maps"]


def test_the_report_shows_the_best_net_of_each_variant(tmp_path, monkeypatch):
    tried = []

    def portrait(net, dataset, most):
        tried.append((net.config.seed, most))
        return b"png"

    compared = lab.compare(
        net="lenet5",
        downsampling="max,avg",
        epochs=1,
        seeds=2,
        workers=1,
        out=tmp_path,
        progress=False,
    )
    monkeypatch.setattr(shown_nets, "portrait", portrait)
    digits = data.load("digits")
    found = shown_nets.portraits(compared, tmp_path, digits)
    best = [
        max(pair, key=lambda record: record.curve[-1].test_accuracy)
        for pair in (compared.records[:2], compared.records[2:])
    ]
    assert [seed for seed, _ in tried] == [record.config.seed for record in best]
    assert [most for _, most in tried] == [540, 540]
    assert [*found] == [f"{r.config.label}, {100 * r.curve[-1].test_accuracy:.2f} %" for r in best]
    heavy = dataclasses.replace(compared.records[0], macs=10**9)
    assert shown_nets._tried(heavy, digits) == 50
    (tmp_path / "runs" / best[0].config.folder / "weights.safetensors").unlink()
    assert len(shown_nets.portraits(compared, tmp_path, digits)) == 1


def test_the_command_names_the_files_and_tells_a_number_from_a_path(run, tmp_path):
    out, record = run
    ask = ["pictures", record.config.id, "--out", str(out), "--to", str(tmp_path), "--image"]
    done = CliRunner().invoke(app, [*ask, "3"])
    assert (done.exit_code, done.stdout.split()[0]) == (0, str(tmp_path / "samples.png"))
    assert len(done.stdout.split()) == 6
    done = CliRunner().invoke(app, [*ask, "three.png"])
    assert done.exit_code == 2
    assert "three.png" in done.stderr
    done = CliRunner().invoke(app, ["pictures", "nowhere", "--out", str(out)])
    assert done.exit_code == 2
    assert "unknown run 'nowhere'" in done.stderr
