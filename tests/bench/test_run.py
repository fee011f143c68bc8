"""Measuring from end to end: files, going on, planted mistakes, the command."""

import itertools
import json
import re

import pytest
from typer.testing import CliRunner

from flexpool.bench import measure, run
from flexpool.bench.cases import choose
from flexpool.bench.memory import measure as measure_memory
from flexpool.bench.memory import peak
from flexpool.bench.peers import PEERS, Peer, Side, choose_peers
from flexpool.bench.problem import problem
from flexpool.bench.results import load
from flexpool.cli.app import app
from flexpool.cli.progress import Steps

TINY = "1x2x8x8:k2"


def bench(*arguments, code=0):
    done = CliRunner().invoke(app, ["bench", *arguments], prog_name="flexpool")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return done


def rows(folder):
    return {row.id: row for row in load(folder / run.FILE).rows}


def test_the_command_from_end_to_end(tmp_path):
    done = bench("max", "avg", "--sizes", TINY, "--quick", "--out", str(tmp_path))
    assert "row 4/4  avg 1x2x8x8:k2 contiguous backward" in done.stderr
    assert re.search(r"PyTorch +\d", done.stdout)
    found = load(tmp_path / run.FILE)
    assert [(row.operator, row.direction) for row in found.rows] == [
        (operator, direction)
        for operator in ("max", "avg")
        for direction in ("forward", "backward")
    ]
    for row in found.rows:
        assert {"copy", "flexpool", "torch", "onednn"} <= {n for n in row.cells if row.timed(n)}
        assert all(seconds > 0 for seconds in row.cells["flexpool"].seconds)
    assert found.made_with["software"]["torch"]
    assert found.made_with["settings"]["rounds"] == 2
    assert (tmp_path / "benchmark.md").read_text().startswith("# flexpool beside others")
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_it_goes_on_where_it_was_and_measures_nothing_twice(tmp_path):
    arguments = ("--sizes", TINY, "--peers", "torch", "--rounds", "1", "--out", str(tmp_path))
    bench("max", *arguments)
    first = rows(tmp_path)
    again = bench("max", "avg", *arguments)
    assert "row 2/2" in again.stderr
    after = rows(tmp_path)
    assert len(after) == 4
    assert all(after[name] == row for name, row in first.items())


def test_what_was_there_when_it_was_stopped_is_kept(tmp_path, monkeypatch):
    arguments = ("--sizes", TINY, "--peers", "torch", "--rounds", "1", "--out", str(tmp_path))
    measured = run.measure_row

    def stopped(asked, *others):
        if asked.direction == "backward":
            raise KeyboardInterrupt
        return measured(asked, *others)

    monkeypatch.setattr(run, "measure_row", stopped)
    bench("max", *arguments, code=130)
    assert [row.direction for row in rows(tmp_path).values()] == ["forward"]
    monkeypatch.undo()
    assert "row 1/1  max 1x2x8x8:k2 contiguous backward" in bench("max", *arguments).stderr


def test_figures_of_other_settings_are_put_aside(tmp_path):
    arguments = ("max", "--sizes", TINY, "--peers", "torch", "--out", str(tmp_path))
    bench(*arguments, "--rounds", "1", "--direction", "forward")
    before = (tmp_path / run.FILE).read_text()
    bench(*arguments, "--rounds", "2", "--direction", "forward")
    date = json.loads(before)["about"]["begun"].replace(":", "")
    assert (tmp_path / f"benchmark-{date}.json").read_text() == before
    assert load(tmp_path / run.FILE).made_with["settings"]["rounds"] == 2


def test_show_draws_again_and_measures_nothing(tmp_path, monkeypatch):
    bench("max", "--sizes", TINY, "--peers", "torch", "--rounds", "1", "--out", str(tmp_path))
    table = (tmp_path / "benchmark.md").read_text()
    (tmp_path / "benchmark.md").unlink()
    monkeypatch.setattr(run, "measure_row", None)
    bench("--show", str(tmp_path / run.FILE))
    assert (tmp_path / "benchmark.md").read_text() == table


def planted(result, name="planted"):
    return Peer(name, name, lambda: None, lambda asked: Side(result(asked), "a function"))


def test_a_wrong_peer_is_reported_and_not_timed(tmp_path):
    (choice,) = choose(["max"], [TINY])
    asked = problem(choice, "forward", 1)
    peers = [*choose_peers(["torch"]), planted(lambda asked: lambda: asked.grad_y)]
    cells = run.measure_row(asked, peers, 1).cells
    assert cells["planted"].status == "wrong"
    assert cells["planted"].reason.startswith("differs from the definition by ")
    assert cells["planted"].seconds == ()
    assert cells["torch"].status == cells["flexpool"].status == "ok"


def test_flexpool_being_wrong_is_reported_too(monkeypatch):
    right = PEERS["torch"].make
    wrong = planted(lambda asked: lambda: 1.01 * right(asked).run(), "flexpool")
    monkeypatch.setitem(PEERS, "flexpool", wrong)
    (choice,) = choose(["max"], [TINY])
    cells = run.measure_row(problem(choice, "forward", 1), choose_peers(["torch"]), 1).cells
    assert cells["flexpool"].status == "wrong"


def test_a_peer_that_breaks_is_a_result_and_the_others_go_on():
    def broken(asked):
        raise RuntimeError("no luck\nand a long trace")

    (choice,) = choose(["max"], [TINY])
    peers = [*choose_peers(["torch"]), planted(broken)]
    cells = run.measure_row(problem(choice, "forward", 1), peers, 1).cells
    assert (cells["planted"].status, cells["planted"].reason) == ("failed", "RuntimeError: no luck")
    assert cells["torch"].status == "ok"


def test_a_peer_that_is_not_installed_has_its_reason_in_the_file(tmp_path):
    absent = Peer("absent", "Absent", lambda: "it is not here", None)
    found = run.results_for(tmp_path, [*choose_peers(["torch"]), absent], 1, 1)
    assert found.made_with["peers"]["absent"] == "it is not here"
    left = run.rows_left(found, choose(["max"], [TINY]), ["forward"])
    found = run.run(found, tmp_path, left, [*choose_peers(["torch"]), absent], Steps("row", 1))
    assert "absent" not in found.rows[0].cells


class Clock:
    """A clock that only what is measured moves on."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def taking(self, name, seconds):
        def run():
            self.calls.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(measure, "time", made)
    return made


def test_all_take_turns_and_each_is_first_once(clock):
    times = measure.take_times({name: clock.taking(name, 0.003) for name in "abc"}, rounds=3)
    turns = [name for name, _ in itertools.groupby(clock.calls)]
    assert "".join(turns) == "abc" + "abc" + "bca" + "cab"  # the first to find out how long each is
    for taken in times.values():
        assert taken.repeats == 1
        assert taken.seconds == pytest.approx([0.003] * 15)


def test_a_sample_is_long_enough_and_gives_the_time_of_one_call(clock):
    (taken,) = measure.take_times({"quick": clock.taking("quick", 1e-5)}, rounds=2).values()
    assert taken.repeats * 1e-5 >= 0.002
    assert taken.seconds == pytest.approx([1e-5] * 10)


def test_what_is_slow_has_fewer_turns_and_samples(clock):
    runs = {"fast": clock.taking("fast", 0.004), "slow": clock.taking("slow", 0.3)}
    times = measure.take_times(runs, rounds=5)
    assert len(times["fast"].seconds) == 25
    assert len(times["slow"].seconds) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--direction", "sideways"), "bench: unknown direction 'sideways'. Known: forward, back"),
        (("--threads", "0"), "bench: expected --threads to be an int > 0, got 0."),
        (("--rounds", "0"), "bench: expected --rounds to be an int > 0, got 0."),
        (("--peers", "tensorflow"), "bench: unknown peer 'tensorflow'."),
        (("soft", "--sizes", "image"), "bench: expected operators that take integers, got ['soft"),
        (("--show", "nowhere.json"), "bench: cannot read nowhere.json: No such file"),
    ],
)
def test_bad_input(arguments, message, tmp_path):
    assert message in bench(*arguments, "--out", str(tmp_path), code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_memory_beyond_input_and_results(tmp_path):
    chosen = choose(["soft"], ["8x16x128x128:k2"])  # 8 MiB
    (found,) = measure_memory(tmp_path, chosen, ["backward"], 1, Steps("row", 1))
    assert found.held == 2 * 2**23 + 2**21
    # PyTorch keeps w, w * x and more for the backward pass, flexpool nothing.
    assert found.beyond["torch"] > 2 * 2**23 > found.beyond["flexpool"]
    assert json.loads((tmp_path / "memory.json").read_text())[0]["operator"] == "soft"


def test_memory_of_half_floats(tmp_path):
    """What PyTorch's copy in float32 would take, flexpool's pieces do not."""
    chosen = choose(["max"], ["8x16x256x256:k2"], dtype="bfloat16")
    (found,) = measure_memory(tmp_path, chosen, ["forward"], 1, Steps("row", 1))
    assert (found.dtype, found.held) == ("bfloat16", 2**24 + 2**22)
    assert found.beyond["flexpool"] < 2**23


def test_a_peak_is_seen_though_it_is_gone_at_the_end():
    def wasteful():
        bytearray(2**25)
        return

    assert peak(wasteful)[0] > 0.9 * 2**25
