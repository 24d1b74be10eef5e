import math
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data import degraded_speech
from sesame.data.audio import list_audio, read_audio
from sesame.data.degradations import (
    TASKS,
    TRAINING_TASKS,
    Clipping,
    Room,
    simulate_rooms,
)
from sesame.data.degradations.scene import SceneSettings
from sesame.data.degraded_batch import degraded_batch
from sesame.data.degraded_speech import DEGRADED_KEYS, degraded_dataset
from sesame.data.mixing import active_rms
from sesame.data.vb_demandex.sources import speaker_of_file

RATE = 16_000
LENGTH = 8_000
SHORT = SceneSettings(enrollment_seconds=(0.3, 0.6))


@pytest.fixture(scope="module")
def speech(minibank):
    return minibank / "clean_trainset_28spk_wav"


@pytest.fixture
def noise(tmp_path, audio_file):
    for seed in range(3):
        audio_file(f"noise/{seed}.wav", 20_000, seed=seed)
    return tmp_path / "noise"


@pytest.fixture
def make(speech, noise, rooms, monkeypatch):
    """Factory of small data sets; their rooms are simulated once."""
    monkeypatch.setattr(degraded_speech, "simulate_rooms", lambda *_: rooms)

    def build(tasks=TRAINING_TASKS, segment_length=LENGTH, **options):
        options = {"settings": SHORT, **options}
        if isinstance(tasks, str):
            tasks = {tasks: 1.0}
        return degraded_dataset(speech, noise, tasks, segment_length, **options)

    return build


@pytest.fixture(scope="module")
def rooms():
    pytest.importorskip("pyroomacoustics")
    return simulate_rooms(3, RATE, (0.1, 0.4))


def level_db(waveform):
    return 20 * np.log10(active_rms(np.asarray(waveform), RATE))


@pytest.fixture(scope="module")
def files(speech, files_in):
    return files_in(speech)


def signals_of(item):
    return [item[key] for key in DEGRADED_KEYS[1:5]]


@pytest.mark.parametrize("task", TASKS)
def test_items_have_all_keys_and_one_length(task, make):
    dataset = make(task, num_items=4)
    for item in dataset:
        assert tuple(item) == DEGRADED_KEYS and item["task"] == task
        *three, enrollment = signals_of(item)
        for signal in three:
            assert signal.shape == (LENGTH,) and signal.dtype == torch.float32
        assert item["has_far_end"] == TASKS[task].echo
        assert item["has_enrollment"] == TASKS[task].extraction == bool(len(enrollment))
        assert item["far_end_sig"].any() <= item["has_far_end"]
        if item["has_enrollment"]:
            assert 0.3 * RATE <= len(enrollment) <= 0.6 * RATE


def test_tasks_come_as_often_as_their_weights_say(make):
    counter = SimpleNamespace(current=0)
    dataset = make(segment_length=400, epoch_counter=counter)
    seen = Counter()
    for counter.current in range(8):
        seen.update(item["task"] for item in dataset)
    total = sum(seen.values())
    for name, weight in TRAINING_TASKS.items():
        assert seen[name] / total == pytest.approx(weight, abs=0.07)


def test_denoising_is_speech_plus_noise_at_the_ratio(make):
    dataset = make("denoise", settings=SceneSettings(level_dbfs=[-35.0]))
    dataset.set_output_keys([*DEGRADED_KEYS, "done"])
    ratios = []
    for item in dataset:
        noise = item["degraded_sig"] - item["target_sig"]
        ratios.append(item["done"]["snr_db"])
        measured = level_db(item["target_sig"]) - level_db(noise)
        assert measured == pytest.approx(ratios[-1], abs=0.02)
    assert -5 <= min(ratios) < 2 < 13 < max(ratios) <= 20


def test_enrollment_is_another_utterance_of_the_talker(make, speech, files):
    clean = SceneSettings(
        enrollment_seconds=(0.3, 0.6), noisy_enrollment=0.0, absent=0.0
    )
    dataset = make("extract", 4000, settings=clean, num_items=6)
    dataset.set_output_keys([*DEGRADED_KEYS, "done"])
    for item in dataset:
        target = files.that_hold(item["target_sig"])
        assert {path.stem for path in target} == {item["id"]}
        (known_by,) = files.that_hold(item["enrollment_sig"])
        assert known_by not in target
        talker = item["id"].split("_")[0]
        assert speaker_of_file(known_by, speech) == talker
        if len(item["done"]["sir_db"]) == 1:
            (other,) = files.that_hold(item["done"]["parts"]["others"])
            assert speaker_of_file(other, speech) != talker


def test_only_some_enrollments_are_noisy(make, files):
    settings = SceneSettings(enrollment_seconds=(0.3, 0.3), snr_db=[0.0])
    dataset = make("extract", 400, settings=settings)
    clean = [
        bool(files.that_hold(item["enrollment_sig"], item["id"].split("_")[0]))
        for item in dataset
    ]
    assert 0.5 < np.mean(clean) < 0.9


def test_far_end_is_heard_in_the_echo_and_said_by_somebody_else(make, speech, files):
    settings = SceneSettings(scenarios=(1, 0, 0), delay_seconds=(0.0, 0.1))
    dataset = make("cancel_echo", 4000, settings=settings, num_items=6)
    dataset.set_output_keys([*DEGRADED_KEYS, "done"])
    for item in dataset:
        (path,) = files.that_hold(item["far_end_sig"])
        assert speaker_of_file(path, speech) != item["id"].split("_")[0]
        echo = item["degraded_sig"] - item["target_sig"]
        ratio = level_db(item["target_sig"]) - level_db(echo)
        assert ratio == pytest.approx(item["done"]["ser_db"], abs=0.05)
        assert -10 <= ratio <= 10


def test_talker_other_talker_and_far_end_are_three_speakers(make, speech, files):
    both = {"both": TASKS["extract"]._replace(echo=True)}
    settings = SceneSettings(
        enrollment_seconds=(0.3, 0.6),
        scenarios=(1, 0, 0),
        absent=0.0,
        third_talker=0.0,
        delay_seconds=(0.0, 0.1),
    )
    dataset = make("both", 4000, settings=settings, definitions=both, num_items=6)
    dataset.set_output_keys([*DEGRADED_KEYS, "done"])
    for item in dataset:
        heard = (
            item["target_sig"],
            item["done"]["parts"]["others"],
            item["far_end_sig"],
        )
        paths = [path for signal in heard for path in files.that_hold(signal)]
        assert len({speaker_of_file(path, speech) for path in paths}) == 3


@pytest.mark.parametrize("task", ["dereverberate", "declip", "conceal", "extract"])
def test_degraded_speech_is_not_the_target_but_like_it(task, make):
    likeness = []
    for item in make(
        task, settings=SceneSettings(absent=0.0, enrollment_seconds=(1, 2))
    ):
        degraded, target = item["degraded_sig"], item["target_sig"]
        likeness.append(torch.corrcoef(torch.stack([degraded, target]))[0, 1])
        assert not torch.equal(degraded, target)
    assert 0.5 < np.median(likeness) < 0.9999


@pytest.mark.parametrize("num_workers", [0, 2])
def test_items_depend_on_the_epoch_not_on_workers_or_order(make, num_workers):
    counter = SimpleNamespace(current=1)
    dataset = make(epoch_counter=counter, num_items=12)
    expected = {item["id"]: signals_of(item) for item in dataset}
    loader = make_dataloader(
        dataset, batch_size=4, num_workers=num_workers, collate_fn=degraded_batch
    )
    for batch in loader:
        for row, item_id in enumerate(batch.id):
            degraded, target, far_end, enrollment = expected[item_id]
            assert torch.equal(batch.degraded_sig.data[row], degraded)
            assert torch.equal(batch.target_sig.data[row], target)
            assert torch.equal(batch.far_end_sig.data[row], far_end)
            there = batch.enrollment_sig[row][: len(enrollment)]
            assert torch.equal(there, enrollment)
    name = dataset[7]["id"]
    counter.current = 2
    assert not torch.equal(dataset[7]["target_sig"], expected[name][1])
    counter.current = 1
    assert all(map(torch.equal, signals_of(dataset[7]), expected[name]))


def test_stages_have_tasks_of_their_own(make):
    counter = SimpleNamespace(current=1)
    tasks = {"denoise": 1.0, "declip": 1.0}
    stages = [[2, {"declip": 1.0}], [3, {"denoise": 0.5}]]
    plain = make(tasks, epoch_counter=counter, num_items=12)
    dataset = make(tasks, epoch_counter=counter, num_items=12, task_stages=stages)
    for counter.current, task in ((1, "declip"), (2, "declip"), (3, "denoise")):
        assert {item["task"] for item in dataset} == {task}
    counter.current = 4
    for item, same in zip(dataset, plain, strict=True):
        assert item["task"] == same["task"]
        assert all(map(torch.equal, signals_of(item), signals_of(same)))
    # Without a counter there are no epochs, so there are no stages.
    always = make(tasks, num_items=12, task_stages=stages)
    assert {item["task"] for item in always} == {*tasks}


def test_without_a_counter_items_are_fixed_and_the_seed_decides(make):
    one, same, other = (make(seed=seed, num_items=5) for seed in (3, 3, 4))
    for a, b, c in zip(one, same, other, strict=True):
        assert all(map(torch.equal, signals_of(a), signals_of(b)))
        assert not torch.equal(a["degraded_sig"], c["degraded_sig"])


def test_whole_utterances_are_as_long_as_their_files(make, speech):
    lengths = {p.stem: len(read_audio(p)) for p in list_audio(speech)}
    for task in ("declip", "cancel_echo", "extract"):
        for item in make(task, None, num_items=3):
            assert len(item["degraded_sig"]) == lengths[item["id"]]


def test_copies_differ_and_items_can_be_thinned_out(make):
    dataset = make("declip", items_per_file=2, num_items=10)
    assert len(dataset) == 10
    two = make("declip", items_per_file=2)
    assert two[1]["id"] == two[0]["id"] + "+1"
    assert not torch.equal(two[0]["target_sig"], two[1]["target_sig"])


def test_other_tasks_can_be_defined(make):
    own = {"clip much": TASKS["declip"]._replace(distortions=(Clipping((0.4, 0.4)),))}
    with pytest.raises(ValueError, match="among clip much"):
        make("declip", definitions=own)
    item = make("clip much", definitions=own, num_items=1)[0]
    lowest = item["degraded_sig"] == item["degraded_sig"].min()
    assert lowest.float().mean() > 0.39


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_other_rates_give_items_of_that_rate(make, rooms, rate):
    item = make("denoise", rate // 2, sample_rate=rate, num_items=2)[0]
    assert len(item["degraded_sig"]) == rate // 2
    spectrum = np.abs(np.fft.rfft(item["target_sig"]))
    # Speech of 16 kHz has nothing above 8 kHz.
    if rate == 48_000:
        assert spectrum[len(spectrum) // 3 + 300 :].max() < 0.01 * spectrum.max()


def test_a_speaker_with_one_utterance_gives_both(tmp_path, noise, files_in):
    for name, seed in (("anna_1", 1), ("ben_1", 2), ("cleo_1", 3)):
        samples = 0.1 * np.random.default_rng(seed).normal(size=40_000)
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
    folder = tmp_path / "said"
    folder.mkdir()
    for path in tmp_path.glob("*.wav"):
        path.rename(folder / path.name)
    files = files_in(folder)
    settings = SceneSettings(
        enrollment_seconds=(1, 2), noisy_enrollment=0.0, absent=0.0
    )
    for item in degraded_dataset(folder, None, {"extract": 1}, 8000, settings=settings):
        (path,) = files.that_hold(item["enrollment_sig"])
        assert path.stem == item["id"]
        assert files.that_hold(item["target_sig"]) == {path}
        # White noise: what overlaps would correlate.
        long, short = item["enrollment_sig"].numpy(), item["target_sig"].numpy()
        cross = np.abs(np.correlate(long, short, "full")).max()
        assert cross < 0.1 * np.linalg.norm(long) * np.linalg.norm(short)


def test_data_set_can_be_sent_to_another_process(make):
    dataset = make(num_items=3)
    sent = pickle.loads(pickle.dumps(dataset))
    for a, b in zip(dataset, sent, strict=True):
        assert all(map(torch.equal, signals_of(a), signals_of(b)))


def test_another_process_makes_the_same_items(speech, noise):
    pytest.importorskip("pyroomacoustics")
    script = (
        "import hashlib, sys\n"
        "from sesame.data.degraded_speech import DEGRADED_KEYS, degraded_dataset\n"
        "options = {'segment_length': 4000, 'num_rooms': 1, 'num_items': 12}\n"
        "items = list(degraded_dataset(*sys.argv[1:], **options))\n"
        "signals = [item[key] for item in items for key in DEGRADED_KEYS[1:5]]\n"
        "data = b''.join(signal.numpy().tobytes() for signal in signals)\n"
        "print(len({item['task'] for item in items}), hashlib.sha256(data).digest())\n"
    )
    command = [sys.executable, "-c", script, speech, noise]
    said = [
        subprocess.check_output(command, env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in "12"
    ]
    assert said[0] == said[1] and int(said[0].split()[0]) >= 3


def test_rooms_are_only_simulated_where_one_is_needed(speech, noise, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    tasks = {"denoise": 1, "declip": 1, "conceal": 1, "extract": 1}
    assert degraded_dataset(speech, noise, tasks, 400, num_items=2)[0]
    for task in ("dereverberate", "cancel_echo", "enhancement"):
        with pytest.raises(ImportError, match=r"pip install '\.\[rooms\]'"):
            degraded_dataset(speech, noise, {task: 1}, 400)


def test_rooms_depend_on_the_seed(speech):
    pytest.importorskip("pyroomacoustics")
    options = {"num_rooms": 1, "t60_seconds": (0.1, 0.2), "num_items": 1}
    items = [
        degraded_dataset(speech, None, {"dereverberate": 1}, 4000, seed=s, **options)[0]
        for s in (0, 0, 1)
    ]
    assert torch.equal(items[0]["degraded_sig"], items[1]["degraded_sig"])
    assert not torch.allclose(items[0]["degraded_sig"], items[2]["degraded_sig"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tasks": {"sing": 1.0}}, r"tasks \(sing\) must be among enhancement"),
        ({"tasks": {}}, "weights of tasks"),
        ({"tasks": {"denoise": 0.0}}, "weights of tasks"),
        ({"tasks": {"denoise": 2.0, "declip": -1.0}}, "weights of tasks"),
        ({"tasks": {"denoise": math.inf}}, "weights of tasks"),
        ({"task_stages": [[1, {"sing": 1.0}]]}, r"task_stages \(sing\) must be among"),
        ({"task_stages": [[1, {"enhancement": 0.0}]]}, "weights of task_stages"),
        ({"speakers": ["p226", "p999"]}, r"exclude_speakers \(p999\) must be in"),
        ({"exclude_speakers": ["p999"]}, r"exclude_speakers \(p999\) must be in"),
        ({"segment_length": 0}, r"segment_length \(0\)"),
        ({"items_per_file": 0}, r"items_per_file \(0\)"),
        ({"num_items": 10_000}, r"num_items \(10000\) must be at most"),
        ({"noise_folder": None}, "noise_folder"),
        ({"speech_folder": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_bad_input_is_one_value_error(options, words, speech, noise, monkeypatch):
    one = np.ones((3, 1), dtype=np.float32)
    room = Room(one, one[:2], 0.1, (4.0, 3.0, 2.5))
    monkeypatch.setattr(degraded_speech, "simulate_rooms", lambda *_: [room])
    with pytest.raises(ValueError, match=words):
        degraded_dataset(**{"speech_folder": speech, "noise_folder": noise, **options})


@pytest.mark.parametrize(
    ("task", "needed"),
    [("cancel_echo", 2), ("extract", 3), ("extraction_and_echo_cancellation", 4)],
)
def test_too_few_speakers_are_told(task, needed, tmp_path, audio_file, noise):
    audio_file("speech/anna_1.wav", 4000)
    with pytest.raises(ValueError, match=rf"speakers \(1\) must be at least {needed}"):
        degraded_dataset(tmp_path / "speech", noise, {task: 1.0})


def test_real_speech_and_noise_are_degraded_fast_enough_to_train(shared_audio):
    for task in TASKS:
        dataset = degraded_dataset(
            shared_audio / "speech" / "train",
            shared_audio / "noise" / "train",
            {task: 1.0},
            4 * RATE,
            num_rooms=4,
            num_items=8,
        )
        start = time.process_time()
        items = list(dataset)
        assert (time.process_time() - start) / len(items) < 0.5
        assert all(torch.isfinite(item["degraded_sig"]).all() for item in items)
