"""A real server of the demo with tiny models, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sesame.inference import Separator, save_model_folder
from sesame.models import SESAME, TFMoE
from sesame.models.seflow import SEFlow

ARGUMENTS = {
    "num_bins": 33,
    "channels": 4,
    "num_blocks": 2,
    "num_heads": 2,
    "dense_depth": 1,
    "moe_blocks": [1],
    "num_experts": 3,
    "top_k": 2,
    "expert_hidden_dim": None,
    "noise_context_dim": 2,
}
TRANSFORM = {"n_fft": 64, "hop_length": 16, "win_length": 64, "exponent": 0.3}
SEPARATOR = {"n_fft": 64, "hop_length": 16, "channels": 4, "num_blocks": 1}
SEPARATOR |= {"num_bands": 6, "num_heads": 2, "head_channels": 4, "kernel_size": 3}
SEPARATOR |= {"num_experts": 3}
FLOW = {"width": 16, "depth": 3, "head_channels": 4, "context": 10, "num_tokens": 4}
# Notes every address that the process looks up or connects to, then serves.
PROGRAM = """
import sys
from pathlib import Path

model, separator, port, log = sys.argv[1:]

def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    with open(log, "a") as file:
        file.write(f"{host}\\n")

sys.addaudithook(note)
from sesame.inference.demo import launch

launch(model, device="cpu", port=int(port), separator=separator)
"""


class Server:
    """The process, what it wrote, and the requests that tests make."""

    def __init__(self, model, separator, folder):
        self.cache = folder / "cache"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.hosts = folder / "hosts"
        self.hosts.touch()
        self.output = folder / "output"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        environment = os.environ | {
            "GRADIO_TEMP_DIR": str(self.cache),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "OMP_NUM_THREADS": "1",
        }
        options = [model, separator, str(self.port), self.hosts]
        program = [sys.executable, "-c", PROGRAM, *options]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                program, stdout=output, stderr=output, env=environment
            )

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                if self.status("/") == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(self.output.read_text())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path):
        """A request whose path is sent as it is, with all its dots."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        return connection.getresponse()

    def status(self, path):
        return self.get(path).status

    def upload(self, name, content):
        requests = pytest.importorskip("requests")
        return requests.post(
            f"{self.url}/gradio_api/upload", files={"files": (name, content)}
        )

    def enhance(self, noisy, clean=None, attenuation=60, dry=0):
        """The last event of a request, and its data."""
        return self._call("enhance", _file(noisy), _file(clean), attenuation, dry)

    def enhance_flow(self, noisy, voice=None, far_end=None, size=1):
        """The same of a server with a SEFlow."""
        files = _file(voice), _file(far_end)
        return self._call("enhance", _file(noisy), None, 60, 0, *files, size)

    def separate(self, mixture):
        """The last event of a request, and its data."""
        return self._call("separate", _file(mixture))

    def _call(self, name, *data):
        requests = pytest.importorskip("requests")
        call = f"{self.url}/gradio_api/call/{name}"
        answer = requests.post(call, json={"data": data})
        if answer.status_code != 200:
            return answer.status_code, answer.text
        events = requests.get(f"{call}/{answer.json()['event_id']}", timeout=120).text
        event, data = events.strip().split("\n\n")[-1].split("\n", 1)
        return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def _file(path):
    return path and {"path": str(path), "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "tiny-model"
    torch.manual_seed(0)
    weights = SESAME(**ARGUMENTS).state_dict()
    save_model_folder(folder, "SESAME", ARGUMENTS, TRANSFORM, 16000, weights)
    return folder


@pytest.fixture(scope="session")
def tiny_separator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "tiny-separator"
    torch.manual_seed(0)
    weights = TFMoE(**SEPARATOR).state_dict()
    save_model_folder(folder, "TFMoE", SEPARATOR, None, 16000, weights)
    return folder


@pytest.fixture(scope="session")
def tiny_flow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "tiny-flow"
    torch.manual_seed(0)
    weights = SEFlow(**FLOW).state_dict()
    save_model_folder(folder, "SEFlow", FLOW, None, None, weights)
    return folder


@pytest.fixture
def separator(tiny_separator):
    return Separator.from_pretrained(tiny_separator, "cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where gradio's cache and temporary folders go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def noisy(folder):
    path = folder / "a.wav"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 4000)
    soundfile.write(path, noise, 16000)
    return path


@pytest.fixture
def handler():
    """Finds what a button of a page does."""

    def find(page, name):
        return next(f.fn for f in page.fns.values() if f.api_name == name)

    return find


@pytest.fixture(scope="session")
def server(tiny_model, tiny_separator, tmp_path_factory):
    pytest.importorskip("gradio")
    server = Server(tiny_model, tiny_separator, tmp_path_factory.mktemp("server"))
    try:
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def flow_server(tiny_flow, tiny_separator, tmp_path_factory):
    pytest.importorskip("gradio")
    server = Server(tiny_flow, tiny_separator, tmp_path_factory.mktemp("server"))
    try:
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture
def own_server(tiny_model, tiny_separator, tmp_path):
    """One that a test may stop."""
    pytest.importorskip("gradio")
    server = Server(tiny_model, tiny_separator, tmp_path)
    try:
        yield server.wait()
    finally:
        server.process.kill()
        server.process.wait()
