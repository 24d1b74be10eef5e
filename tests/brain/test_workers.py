"""Ranks of a run and the pool of worker processes."""

import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from sesame.brain.workers import WorkerPool, rank_and_world

ROOT = Path(__file__).resolve().parents[2]
KILLED_PARENT = """
import os, pathlib, signal
from sesame.brain.workers import WorkerPool

if __name__ == "__main__":
    worker = WorkerPool(1).submit(os.getpid).result()
    pathlib.Path(__file__).with_suffix(".pid").write_text(str(worker))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def pool():
    pool = WorkerPool(1)
    yield pool
    pool.close()


def _is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_is_rank_zero_of_one():
    assert rank_and_world() == (0, 1)


@pytest.mark.parametrize("num_workers", [-1, -7])
def test_a_negative_number_of_workers_is_refused(num_workers):
    with pytest.raises(ValueError, match=rf"num_workers \({num_workers}\)"):
        WorkerPool(num_workers)


def test_no_workers_means_the_calling_process():
    assert WorkerPool(0).submit(os.getpid).result() == os.getpid()


def test_without_workers_an_error_waits_in_the_future():
    future = WorkerPool(0).submit(operator.truediv, 1, 0)
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_a_worker_is_another_process_that_serves_many_jobs_and_outlives_a_dead_one(
    pool,
):
    first = pool.submit(os.getpid).result()
    assert first != os.getpid()
    assert pool.submit(os.getpid).result() == first, "made anew for each job"
    with pytest.raises(ZeroDivisionError):
        pool.submit(operator.truediv, 1, 0).result()
    with pytest.raises(BrokenProcessPool):
        pool.submit(os._exit, 1).result()
    second = pool.submit(os.getpid).result()
    assert second not in (first, os.getpid())
    pool.close()
    for _ in range(100):
        if not _is_alive(second):
            break
        # Reaps the child, which would stay as a zombie otherwise.
        multiprocessing.active_children()
        time.sleep(0.1)
    assert not _is_alive(second)


def test_a_closed_pool_can_be_closed_again_and_starts_anew(pool):
    pool.close()
    pool.close()
    assert pool.submit(max, 1, 2).result() == 2


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED_PARENT)
    run = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        # No pipe: its end would be the end of the worker.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    worker = int(script.with_suffix(".pid").read_text())
    for _ in range(100):
        if not _is_alive(worker):
            break
        time.sleep(0.1)
    else:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker waits for ever")
