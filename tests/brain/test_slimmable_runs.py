"""Whole runs of ``train.py`` with a network of several sizes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def _run(slimmable, folder, *flags, ranks=1, **values):
    command = [sys.executable, "train.py"]
    if ranks > 1:
        torchrun = f"-m torch.distributed.run --standalone --nproc_per_node={ranks}"
        command[1:1] = torchrun.split()
        flags = (*flags, "--distributed_backend", "gloo")
    command += [slimmable.file, "--device", "cpu", "--noprogressbar"]
    schedule = {"warmup_steps": 2, "total_steps": 8}
    values = {"steps_per_epoch": 4, "lr_schedule": schedule, **values}
    values = slimmable.overrides | {"output_folder": folder} | values
    for name, value in values.items():
        text = json.dumps(value) if isinstance(value, dict | list) else str(value)
        command += [f"--{name}", text]
    run = subprocess.run(
        [*command, *flags],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]


def _weights(folder):
    newest = max(folder.glob("save/CKPT+*"), key=lambda p: p.stat().st_mtime_ns)
    state = torch.load(newest / "generator.ckpt", weights_only=True)
    return np.concatenate([tensor.flatten().numpy() for tensor in state.values()])


@pytest.mark.slow
def test_a_run_that_is_resumed_repeats_one_that_was_not_interrupted(
    slimmable, tmp_path
):
    quick = {"test_sizes": [[1.0, 3]], "test_metrics": ["si_sdr"]}
    _run(slimmable, tmp_path / "whole", number_of_epochs=2, **quick)
    _run(slimmable, tmp_path / "parts", number_of_epochs=1, **quick)
    _run(slimmable, tmp_path / "parts", number_of_epochs=2, **quick)
    whole, parts = _weights(tmp_path / "whole"), _weights(tmp_path / "parts")
    assert np.array_equal(whole, parts)


@pytest.mark.slow
def test_ranks_take_the_step_of_all_their_batches(slimmable, tmp_path):
    """A parameter that only one rank used, and none at all, included."""
    script = tmp_path / "ranks.py"
    script.write_text(
        "import sys, torch\n"
        "from sesame.brain import average_gradients\n"
        "torch.distributed.init_process_group('gloo')\n"
        "rank = torch.distributed.get_rank()\n"
        "net = torch.nn.ModuleList([torch.nn.Linear(2, 1) for _ in range(3)])\n"
        "net[0].weight.grad = torch.full((1, 2), float(rank + 1))\n"
        "if rank: net[1].bias.grad = torch.ones(1)\n"
        "average_gradients(net)\n"
        "grads = {n: p.grad for n, p in net.named_parameters()}\n"
        "torch.save(grads, f'{sys.argv[1]}/{rank}.pt')\n"
        "torch.distributed.barrier()\n"
        "torch.distributed.destroy_process_group()\n"
    )
    torchrun = "-m torch.distributed.run --standalone --nproc_per_node=2"
    subprocess.run(
        [sys.executable, *torchrun.split(), script, tmp_path],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=200,
        capture_output=True,
    )
    for rank in range(2):
        grads = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert grads["0.weight"].tolist() == [[1.5, 1.5]]
        assert grads["1.bias"].tolist() == [0.5]
        assert grads["0.bias"] is None and grads["2.weight"] is None
    _run(
        slimmable, tmp_path / "run", ranks=2, number_of_epochs=1, test_sizes=[[1.0, 3]]
    )
    with (tmp_path / "run" / "test_scores.csv").open(encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert len(ids) == len(set(ids)) == 8
