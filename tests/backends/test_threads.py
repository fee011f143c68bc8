"""Work is shared between threads, completely and exactly once, and never blocks."""

import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from flexpool.backends import threads

MUCH = 10**9


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """No pool yet; the one a test makes ends with it."""
    monkeypatch.setattr(threads, "_pool", None)
    monkeypatch.setattr(threads, "_pool_size", 0)
    yield
    if threads._pool is not None:
        threads._pool.shutdown()


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setattr(threads, "limit", lambda: 4)


class Meeting:
    """Holds each thread up, at its first piece, until a number of threads have come."""

    def __init__(self, expected):
        self.barrier, self.here = threading.Barrier(expected), threading.local()

    def __call__(self):
        if not hasattr(self.here, "came"):
            self.here.came = True
            self.barrier.wait(10)


class Recorder:
    """Notes which pieces were done, by which threads, and how many at once."""

    def __init__(self, threads=None):
        self.meet = Meeting(threads) if threads else lambda: None
        self.pieces, self.threads = [], set()
        self.active = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, begin, end):
        with self.lock:
            self.pieces.append((begin, end))
            self.threads.add(threading.current_thread())
            self.active += 1
            self.most = max(self.most, self.active)
        self.meet()
        with self.lock:
            self.active -= 1

    def items(self):
        return sorted(i for begin, end in self.pieces for i in range(begin, end))


@pytest.mark.parametrize("items", [*range(1, 20), 100, 1001])
@pytest.mark.parametrize("elements", [0, MUCH])
def test_every_item_is_done_once(items, elements, four):
    work = Recorder()
    threads.run(work, items, elements)
    assert work.items() == list(range(items))
    assert all(begin < end for begin, end in work.pieces)


def test_no_items_are_no_work(four):
    work = Recorder()
    threads.run(work, 0, MUCH)
    assert work.pieces == []


def test_much_work_is_shared_in_a_few_pieces(four):
    work = Recorder(threads=4)
    threads.run(work, 1000, MUCH)
    assert len(work.pieces) == 16
    assert {end - begin for begin, end in work.pieces} <= {62, 63}
    assert work.most == 4
    assert len(work.threads) == 4
    assert threading.current_thread() in work.threads


@pytest.mark.parametrize(
    ("items", "elements"), [(1000, 2 * threads.GRAIN - 1), (1, MUCH), (1000, 0)]
)
def test_little_work_stays_here(items, elements, four):
    work = Recorder()
    threads.run(work, items, elements)
    assert work.pieces == [(0, items)]
    assert work.threads == {threading.current_thread()}
    assert threads._pool is None


def test_each_thread_has_a_grain_of_work(four):
    work = Recorder(threads=2)
    threads.run(work, 1000, 2 * threads.GRAIN)
    assert len(work.pieces) == 8
    assert work.most == 2


def test_a_limit_of_one_means_no_pool(monkeypatch):
    monkeypatch.setattr(threads, "limit", lambda: 1)
    work = Recorder()
    threads.run(work, 1000, MUCH)
    assert work.pieces == [(0, 1000)]
    assert threads._pool is None


def test_a_slow_piece_does_not_decide(four):
    """The other threads do all other pieces meanwhile."""
    done, others = [], threading.Event()

    def work(begin, end):
        if begin == 0:
            assert others.wait(10)
        done.append(begin)
        if len(done) == 15:
            others.set()

    threads.run(work, 16, MUCH)
    assert sorted(done) == list(range(16))
    assert done[-1] == 0


def test_a_larger_limit_makes_a_larger_pool(monkeypatch):
    for count in (2, 4, 3):
        monkeypatch.setattr(threads, "limit", lambda count=count: count)
        work = Recorder(threads=count)
        threads.run(work, 1000, MUCH)
        assert work.most == count
    assert threads._pool_size == 3


@pytest.mark.parametrize("here", [True, False])
def test_errors_propagate_and_end_the_work(here, four):
    caller, begun, failed = threading.current_thread(), [], threading.Event()

    def work(begin, end):
        begun.append(begin)
        if (threading.current_thread() is caller) == here:
            failed.set()
            raise KeyError("lost")
        assert failed.wait(10)
        time.sleep(0.02)

    with pytest.raises(KeyError, match="lost"):
        threads.run(work, 1000, MUCH)
    assert len(begun) < 16
    after = Recorder()
    threads.run(after, 10, MUCH)
    assert after.items() == list(range(10))


def test_nothing_is_under_way_when_an_error_arrives(four):
    """The caller may free the arrays then."""
    begun, ended, meet = [], [], Meeting(4)

    def work(begin, end):
        meet()
        if begin == 0:
            raise KeyError("lost")
        begun.append(begin)
        time.sleep(0.05)
        ended.append(begin)

    with pytest.raises(KeyError):
        threads.run(work, 1000, MUCH)
    assert begun
    assert sorted(ended) == sorted(begun)


def test_work_inside_work_is_done_at_once(four):
    """In a helper nothing more is shared; in the caller a busy pool holds up nothing."""
    inner, meet = [], Meeting(4)

    def work(begin, end):
        meet()
        inner.append((threading.current_thread(), recorder := Recorder()))
        threads.run(recorder, 8, MUCH)

    threads.run(work, 16, MUCH)
    assert len(inner) == 16
    assert all(recorder.items() == list(range(8)) for _, recorder in inner)
    helped = [r for thread, r in inner if thread is not threading.current_thread()]
    assert helped
    assert all(recorder.pieces == [(0, 8)] for recorder in helped)


def test_many_callers_share_one_pool(four):
    recorders = [Recorder() for _ in range(8)]
    for recorder in recorders:
        recorder.meet = lambda: time.sleep(0.002)

    def call(recorder):
        for _ in range(10):
            threads.run(recorder, 16, MUCH)

    callers = [threading.Thread(target=call, args=(r,), daemon=True) for r in recorders]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
        assert not caller.is_alive()
    for recorder in recorders:
        assert recorder.items() == sorted(list(range(16)) * 10)
        assert recorder.most <= 4
    helpers = set().union(*(r.threads for r in recorders)) - set(callers)
    assert 1 <= len(helpers) <= 3


def test_a_busy_pool_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(threads, "limit", lambda: 2)
    meet, done = Meeting(3), threading.Event()

    def long(begin, end):
        meet()
        assert done.wait(10)

    other = threading.Thread(target=threads.run, args=(long, 2, MUCH))
    other.start()
    meet()
    work = Recorder()
    threads.run(work, 16, MUCH)
    assert not done.is_set()
    done.set()
    other.join()
    assert work.items() == list(range(16))
    assert work.threads == {threading.current_thread()}


def test_without_new_threads_the_caller_does_it_all(four, monkeypatch):
    def refuse(*_):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(threads.ThreadPoolExecutor, "submit", refuse)
    work = Recorder()
    threads.run(work, 16, MUCH)
    assert work.items() == list(range(16))
    assert work.threads == {threading.current_thread()}


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)


def test_the_limit_is_torchs_where_torch_is_loaded(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 5))
    assert threads.limit() == 5


@pytest.mark.parametrize("half", [SimpleNamespace(), None])
def test_a_torch_that_is_just_being_imported_is_no_torch(half, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    monkeypatch.setitem(sys.modules, "torch", half)
    assert threads.limit() == 7


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("chosen", ["", "0", "-2", "many"])
def test_else_the_limit_is_the_processors_allowed(chosen, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", chosen)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert threads.limit() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.limit() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.limit() == 1


def test_numbers_do_not_depend_on_the_threads(monkeypatch):
    x = np.random.default_rng(0).normal(size=(64, 1000))
    sums = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "limit", lambda count=count: count)
        y = np.empty(64)

        def work(begin, end, y=y):
            for i in range(begin, end):
                y[i] = x[i].sum()

        threads.run(work, 64, MUCH)
        sums.append(y.tobytes())
    assert len(set(sums)) == 1


def run_program(program):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        env={**os.environ, "NUMBA_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Counts the threads that take part; each waits until all have come.
MEET = """
import os, sys, threading
from flexpool.backends import threads
def meet():
    barrier = threading.Barrier(3)
    done = []
    def work(begin, end):
        barrier.wait(10)
        done.append(threading.get_ident())
    threads.run(work, 3, 10**9)
    assert len(set(done)) == 3, done
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("locked", [False, True])
def test_a_fork_gets_a_pool_of_its_own(locked):
    """Also if another thread held the lock at that moment, which in the child nobody releases."""
    program = f"""{MEET}
meet()
if {locked}:
    held, go = threading.Event(), threading.Event()
    def hold():
        with threads._lock:
            held.set()
            go.wait()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
child = os.fork()
if child == 0:
    meet()
    sys.exit(0)
_, status = os.waitpid(child, 0)
if {locked}:
    go.set()
    holder.join()
meet()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    run_program(program)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_inside_a_helper_is_no_helper():
    program = f"""{MEET}
caller, codes, helped = threading.get_ident(), [], threading.Event()
def work(begin, end):
    if threading.get_ident() == caller:
        helped.wait(10)
    elif not codes:
        codes.append(None)
        helped.set()
        child = os.fork()
        if child == 0:
            try:
                meet()
            except BaseException:
                os._exit(1)
            os._exit(0)
        codes[0] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
threads.run(work, 12, 10**9)
assert codes == [0], codes
"""
    run_program(program)


def test_work_at_exit_is_done():
    program = f"""{MEET}
import atexit
def late():
    done = []
    threads.run(lambda begin, end: done.extend(range(begin, end)), 9, 10**9)
    assert sorted(done) == list(range(9))
    print("done", flush=True)
atexit.register(late)
meet()
"""
    assert run_program(program) == "done\n"
