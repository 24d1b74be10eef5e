import numpy as np
import pytest

from sesame.data.degradations import (
    TASKS,
    TRAINING_TASKS,
    Room,
    SceneSettings,
    Signals,
    Task,
    mix_scene,
    reverberate,
)
from sesame.data.mixing import active_rms

RATE = 16_000
QUIET = SceneSettings(level_dbfs=[-40.0])  # so that nothing reaches full scale


def level_db(waveform):
    return 20 * np.log10(active_rms(waveform, RATE))


@pytest.fixture
def signals(talkers, noise):
    return Signals(talkers[0], noise, talkers[1:3], talkers[3])


def scene_of(task, signals, room, settings=QUIET, seed=0):
    task = TASKS[task] if isinstance(task, str) else task
    given = signals if task.extraction else signals._replace(others=())
    rng = np.random.default_rng(seed)
    return mix_scene(task, given, room, settings, RATE, rng)


CLEAN = {
    name: TASKS[name]._replace(distortions=(), distortion_weights=(1.0,))
    for name in TASKS
}


@pytest.mark.parametrize("name", TASKS)
def test_the_parts_sum_to_the_mixture(name, signals, rooms):
    for seed in range(4):
        scene = scene_of(CLEAN[name], signals, rooms[seed], seed=seed)
        total = sum(scene.parts.values())
        np.testing.assert_allclose(scene.degraded, total, atol=1e-6)
        for signal in (scene.degraded, scene.target, scene.far_end):
            assert signal.dtype == np.float32 and len(signal) == len(signals.speech)


def test_ratios_are_those_that_were_drawn(signals, rooms):
    settings = SceneSettings(level_dbfs=[-40.0], scenarios=(1, 0, 0), absent=0.0)
    name = "extraction_and_echo_cancellation"
    drawn = []
    for seed in range(12):
        scene = scene_of(
            CLEAN[name],
            signals._replace(others=signals.others[:1]),
            rooms[seed % 8],
            settings,
            seed,
        )
        parts, done = scene.parts, scene.done
        talker = level_db(parts["talker"])
        assert talker - level_db(parts["noise"]) == pytest.approx(
            done["snr_db"], abs=0.02
        )
        assert talker - level_db(parts["echo"]) == pytest.approx(
            done["ser_db"], abs=0.02
        )
        assert talker - level_db(parts["others"]) == pytest.approx(
            done["sir_db"][0], abs=0.02
        )
        drawn.append((done["snr_db"], done["ser_db"], done["sir_db"][0]))
    low, high = np.min(drawn, axis=0), np.max(drawn, axis=0)
    assert (low >= [-5, -10, -5]).all() and (high <= [20, 10, 5]).all()
    assert (high - low > [10, 8, 4]).all()


def test_each_other_talker_has_its_own_ratio(signals):
    settings = SceneSettings(level_dbfs=[-40.0], absent=0.0)
    scene = scene_of("extract", signals, None, settings)
    one, two = scene.done["sir_db"]
    talker = level_db(scene.parts["talker"])
    others = [
        other * 10 ** ((talker - ratio - level_db(other)) / 20)
        for other, ratio in zip(signals.others, (one, two), strict=True)
    ]
    np.testing.assert_allclose(scene.parts["others"], sum(others), atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_dry_speech_has_the_drawn_level_unless_it_would_clip(seed, signals):
    scene = scene_of("denoise", signals, None, SceneSettings(), seed)
    peak = max(np.abs(scene.degraded).max(), np.abs(scene.target).max())
    assert -35 <= scene.done["level_dbfs"] <= -15
    if peak < 0.999:
        expected = scene.done["level_dbfs"]
        assert level_db(scene.target) == pytest.approx(expected, abs=0.02)


def test_nothing_exceeds_full_scale_and_target_keeps_step(signals, rooms):
    loud = SceneSettings(level_dbfs=[0.0], snr_db=[-5.0], ser_db=[-10.0], absent=0.0)
    for seed in range(6):
        scene = scene_of(CLEAN["echo_cancellation"], signals, rooms[0], loud, seed)
        assert np.abs(scene.degraded).max() <= 1 + 1e-6
        assert np.abs(scene.far_end).max() <= 1 + 1e-6
        if scene.done["t60"] == 0:
            np.testing.assert_array_equal(scene.target, scene.parts["talker"])


def test_target_is_the_early_part_of_the_talker_in_the_input(signals, rooms):
    scene = scene_of("dereverberate", signals, rooms[3])
    gain = 10 ** (-40 / 20) / active_rms(signals.speech, RATE)
    reverberant, early = reverberate(signals.speech, rooms[3].talkers[0], RATE)
    assert scene.done["t60"] == rooms[3].t60
    np.testing.assert_allclose(scene.degraded, gain * reverberant, atol=1e-6)
    np.testing.assert_allclose(scene.target, gain * early, atol=1e-6)


def test_the_other_target_is_the_early_part_of_the_first_other(signals, rooms):
    task = Task(room=1.0, extraction=True)
    scene = scene_of(task, signals, rooms[3])
    whole, early = reverberate(signals.others[0], rooms[3].talkers[1], RATE)
    level = level_db(scene.parts["talker"]) - scene.done["sir_db"][0]
    gain = 10 ** (level / 20) / active_rms(whole, RATE)
    np.testing.assert_allclose(scene.other_target, gain * early, atol=1e-6)
    assert not scene_of("denoise", signals, rooms[3]).other_target.any()


def test_others_speak_from_other_places(signals, rooms):
    task = Task(room=1.0, extraction=True)
    settings = SceneSettings(level_dbfs=[-40.0], absent=0.0)
    scene = scene_of(
        task, signals._replace(others=signals.others[:1]), rooms[5], settings
    )
    expected, _ = reverberate(signals.others[0], rooms[5].talkers[1], RATE)
    expected *= active_rms(scene.parts["others"], RATE) / active_rms(expected, RATE)
    np.testing.assert_allclose(scene.parts["others"], expected, atol=1e-5)


def test_scenarios_are_as_frequent_as_they_should_be_and_mean_what_they_say(rng):
    short = Signals(*(rng.normal(0, 0.1, 320).astype(np.float32) for _ in "ab"))
    short = short._replace(far_end=short.noise)
    one = np.ones((3, 1), dtype=np.float32)
    room = Room(one, one[:2], 0.1, (4.0, 3.0, 2.5))
    settings = SceneSettings(delay_seconds=(0.0, 0.0))
    seen = []
    for _ in range(600):
        scene = mix_scene(TASKS["cancel_echo"], short, room, settings, RATE, rng)
        scenario = scene.done["scenario"]
        seen.append(scenario)
        assert scene.target.any() == (scenario != "far_end") == scene.done["talks"]
        assert scene.far_end.any() == (scenario != "near_end")
        assert ("echo" in scene.parts) == (scenario != "near_end")
        if scenario == "near_end":
            np.testing.assert_array_equal(scene.degraded, scene.target)
    for name, part in (("double_talk", 0.6), ("far_end", 0.2), ("near_end", 0.2)):
        assert seen.count(name) / 600 == pytest.approx(part, abs=0.06)


def test_far_end_only_is_the_same_scene_without_the_talker(signals, rooms):
    both, alone = (
        scene_of(
            "cancel_echo",
            signals,
            rooms[0],
            SceneSettings(level_dbfs=[-40.0], scenarios=weights),
        )
        for weights in ((1, 0, 0), (0, 1, 0))
    )
    np.testing.assert_allclose(alone.parts["echo"], both.parts["echo"], atol=1e-7)
    np.testing.assert_array_equal(alone.degraded, alone.parts["echo"])
    assert not alone.target.any()


def test_an_absent_talker_leaves_the_others_and_no_target(signals):
    there, absent = (
        scene_of(
            "extract", signals, None, SceneSettings(level_dbfs=[-40.0], absent=chance)
        )
        for chance in (0.0, 1.0)
    )
    assert there.target.any() and there.done["talks"]
    assert not absent.target.any() and not absent.done["talks"]
    np.testing.assert_allclose(absent.degraded, there.parts["others"], atol=1e-7)


def test_target_is_not_distorted(signals, rooms):
    for seed in range(8):
        plain = scene_of(CLEAN["enhancement"], signals, rooms[1], seed=seed)
        scene = scene_of("enhancement", signals, rooms[1], seed=seed)
        np.testing.assert_array_equal(scene.target, plain.target)
        changed = not np.array_equal(scene.degraded, plain.degraded)
        assert changed == bool(scene.done["distortions"])


@pytest.mark.parametrize("name", TRAINING_TASKS)
def test_silent_speech_gives_finite_signals(name, signals, rooms):
    silent = signals._replace(speech=np.zeros_like(signals.speech))
    scene = scene_of(name, silent, rooms[0])
    assert np.isfinite(scene.degraded).all() and not scene.target.any()


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        ("denoise", {"noise": None}, "needs noise"),
        ("cancel_echo", {"far_end": None}, "needs far_end"),
        ("extract", {"others": ()}, r"others \(0\) must be one or two"),
        ("denoise", {"noise": np.zeros(9, np.float32)}, "as long as speech"),
        ("declip", {"speech": np.zeros((2, 4))}, "speech"),
    ],
)
def test_scenes_that_lack_something_are_refused(task, change, words, signals, rooms):
    with pytest.raises(ValueError, match=words):
        scene_of(task, signals._replace(**change), rooms[0])
    with pytest.raises(ValueError, match="needs a room"):
        scene_of("dereverberate", signals, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"snr_db": []}, "snr_db"),
        ({"sir_db": [np.nan]}, "sir_db"),
        ({"ser_db": (3.0, 1.0)}, "ser_db"),
        ({"absent": 1.5}, "absent"),
        ({"scenarios": (1.0,)}, "scenarios"),
        ({"scenarios": (0, 0, 0)}, "scenarios"),
        ({"scenarios": (1, 1, np.inf)}, "scenarios"),
        ({"enrollment_seconds": (0.0, 3.0)}, "enrollment_seconds"),
        ({"delay_seconds": (0.3, 0.1)}, "delay_seconds"),
    ],
)
def test_impossible_settings_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        SceneSettings(**arguments)
