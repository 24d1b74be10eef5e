import io
import json
import subprocess
import sys

import numpy as np
import pytest

from sesame.metrics import utmos_process
from sesame.metrics.utmos_process import serve


def request(samples):
    samples = np.asarray(samples, "<f4")
    return samples.size.to_bytes(8, "little") + samples.tobytes()


def answers(score, *requests):
    stream = io.StringIO()
    serve(score, io.BytesIO(b"".join(requests)), stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_waveform_gets_its_answer_in_order():
    waveforms = [[1.0, 2.0], [], [4.0]]
    got = answers(np.sum, *map(request, waveforms))
    assert got == [{"score": 3.0}, {"score": 0.0}, {"score": 4.0}]


def test_an_error_is_an_answer_of_one_line_and_not_the_end():
    def score(waveform):
        if waveform[0] < 0:
            raise KeyError("first\nsecond")
        return waveform[0]

    got = answers(score, request([-1.0]), request([2.0]))
    assert got == [{"error": "KeyError: 'first\\nsecond'"}, {"score": 2.0}]


def test_a_model_that_does_not_load_is_every_answer(tmp_path):
    pytest.importorskip("torch")
    child = subprocess.run(
        [sys.executable, "-P", utmos_process.__file__, str(tmp_path), "weights.pt"],
        input=request([1.0]) * 2,
        capture_output=True,
        check=True,
    )
    lines = [json.loads(line)["error"] for line in child.stdout.splitlines()]
    assert len(lines) == 2 and lines[0].startswith("FileNotFoundError")
