"""Figures: what follows from samples, and the file they are kept in."""

import json

import pytest

from bench.canned import RESULTS, cell, row
from flexpool.bench.results import Cell, load
from flexpool.errors import StorageError


def test_what_follows_from_the_samples():
    one = row("max", torch=cell(0.020), inductor=cell(0.004), onednn=Cell("cannot"))
    assert one.cells["flexpool"].median == 0.005
    assert one.cells["flexpool"].quartiles == pytest.approx((0.0045, 0.0055))
    assert one.speed("flexpool") == pytest.approx(25.0)  # 125 MB in 5 ms
    assert one.share("flexpool") == pytest.approx(25.0 / 20.0)  # the copy: 200 MB in 10 ms
    assert one.ratio("torch") == pytest.approx(4.0)
    assert one.ratio("onednn") is None
    assert one.losses == ["inductor"]


def test_geometric_means_are_over_the_rows_both_have():
    means = RESULTS.geometric_means("forward")
    assert means["torch"] == (pytest.approx((4.0 * 16.0) ** 0.5), 2)  # one of three is wrong
    assert means["onnxruntime"] == (pytest.approx(0.5), 1)
    assert "flexpool" not in means
    assert "copy" not in means


def test_a_file_gives_the_same_results_back(tmp_path):
    RESULTS.save(tmp_path / "some.json")
    assert load(tmp_path / "some.json") == RESULTS


def test_a_row_measured_again_takes_the_place_of_the_old_one():
    again = row("max", torch=cell(0.1))
    assert again in RESULTS.having(again).rows
    assert len(RESULTS.having(again).rows) == len(RESULTS.rows)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": 0}', '{"format": 1, "rows": [{}]}', '{"format": 1}'],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(StorageError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path} holds no results of this version of `flexpool bench`. Name another file or folder."
    )


def test_a_row_with_a_field_too_many_is_refused(tmp_path):
    path = tmp_path / "some.json"
    RESULTS.save(path)
    content = json.loads(path.read_text())
    content["rows"][0]["cells"]["torch"]["surprise"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match="holds no results of this version"):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match=r"^cannot read .*none.json: No such file"):
        load(tmp_path / "none.json")
