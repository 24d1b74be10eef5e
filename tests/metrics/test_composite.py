import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from sesame.metrics import VARIANTS, Score, composite, pesq_wb, segmental
from sesame.metrics.composite import frame_snr, hu_loizou

RATE = 16000
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN = json.loads((ROOT / "tests/golden/composite_metrics.json").read_text())
SYNTHETIC = json.loads((ROOT / "tests/golden/composite_synthetic.json").read_text())
SCALE = {"loizou": "int16", "cmgan": "float"}
PARTS = ("ssnr", "llr", "wss")
COMPOSITES = ("csig", "cbak", "covl")
AUDIO = SHARED / "golden/composite_metrics_audio.safetensors"
CORPUS = SHARED / "data/voicebank-demand-test"
TOLERANCE = {"pesq": 1e-4, **dict.fromkeys(PARTS, 1e-6)}
TOLERANCE |= dict.fromkeys(COMPOSITES, 1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("system", ["noisy", "cmgan"])
def test_regression_gives_the_published_code_s_composites(system, variant):
    files = GOLDEN["results"][system][SCALE[variant]]
    assert len(files) == 25
    for values in files.values():
        scores = hu_loizou(*(Score(values[k]) for k in ("pesq", "llr", "wss", "ssnr")))
        for name in COMPOSITES:
            assert scores[name].value == pytest.approx(values[name], abs=1e-7)


@pytest.mark.skipif(not AUDIO.is_file(), reason=f"needs {AUDIO.name} in ../shared")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("system", ["noisy", "cmgan"])
@pytest.mark.parametrize("name", ["p232_170", "p257_054"])
def test_everything_equals_the_published_code_on_stored_audio(name, system, variant):
    pytest.importorskip("pesq")
    audio = load_file(AUDIO)
    pair = audio[f"input/{name}.{system}"], audio[f"input/{name}.clean"]
    expected = GOLDEN["results"][system][SCALE[variant]][name]
    pesq = pesq_wb(*pair, RATE)
    scores = {"pesq": pesq, **composite(*pair, RATE, variant)}
    for key, tolerance in TOLERANCE.items():
        assert scores[key].value == pytest.approx(expected[key], abs=tolerance), key


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs {CORPUS.name} in ../shared")
def test_parts_equal_the_published_code_on_25_files():
    for name, digest in GOLDEN["audio"].items():
        pair = []
        for kind in ("noisy", "clean"):
            path = CORPUS / f"{kind}_testset_wav/{name}.wav"
            pair.append(soundfile.read(path, dtype="int16")[0])
            pcm = hashlib.sha256(pair[-1].tobytes()).hexdigest()
            assert pcm == digest[f"{kind}_pcm_sha256"]
        for variant in VARIANTS:
            expected = GOLDEN["results"]["noisy"][SCALE[variant]][name]
            scores = composite(*pair, RATE, variant, pesq=Score(expected["pesq"]))
            for key in (*PARTS, *COMPOSITES):
                assert scores[key].value == pytest.approx(expected[key], abs=1e-6), key


@pytest.mark.skipif(not AUDIO.is_file(), reason=f"needs {AUDIO.name} in ../shared")
@pytest.mark.parametrize("variant", VARIANTS)
def test_identity_and_cut_lengths_equal_the_published_code(variant):
    pytest.importorskip("pesq")
    audio = load_file(AUDIO)
    clean, noisy = audio["input/p232_170.clean"], audio["input/p232_170.noisy"]
    noisy = noisy[:-777]
    for case, pair in {
        "identity": (clean, clean),
        "length_mismatch": (noisy, clean[: noisy.size]),
    }.items():
        expected = GOLDEN["extra"][case][SCALE[variant]]
        scores = {"pesq": pesq_wb(*pair, RATE), **composite(*pair, RATE, variant)}
        for key, tolerance in TOLERANCE.items():
            assert scores[key].value == pytest.approx(expected[key], abs=tolerance), key


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_of_the_synthetic_pair_are_those_stored(variant, speech_pair):
    pytest.importorskip("pesq")
    stored = [SYNTHETIC[f"{kind}_pcm_sha256"] for kind in ("noisy", "clean")]
    assert [hashlib.sha256(s.tobytes()).hexdigest() for s in speech_pair] == stored
    scores = {"pesq": pesq_wb(*speech_pair, RATE)}
    scores |= composite(*speech_pair, RATE, variant)
    for key, tolerance in TOLERANCE.items():
        expected = SYNTHETIC["scores"][variant][key]
        assert scores[key].value == pytest.approx(expected, abs=tolerance), key


def test_equal_signals_have_top_scores(speech_pair):
    _, clean = speech_pair
    for variant in VARIANTS:
        scores = composite(clean, clean, RATE, variant, pesq=Score(4.6439))
        assert {name: scores[name].value for name in scores} == {
            "ssnr": 35,
            "csig": 5,
            "cbak": 5,
            "covl": 5,
            "llr": 0,
            "wss": 0,
        }


def test_variants_differ_in_wss_alone(speech_pair):
    llr, wss, ssnr = segmental(*speech_pair, RATE, "loizou")
    cmgan_llr, cmgan_wss, cmgan_ssnr = segmental(*speech_pair, RATE, "cmgan")
    assert llr == cmgan_llr
    assert ssnr == cmgan_ssnr
    assert wss.value > 1.2 * cmgan_wss.value


def test_blocks_of_frames_do_not_change_a_value(monkeypatch, speech_pair):
    expected = segmental(*speech_pair, RATE)
    monkeypatch.setattr(sys.modules["sesame.metrics.frames"], "BLOCK", 17)
    for score, other in zip(segmental(*speech_pair, RATE), expected, strict=True):
        assert score.value == pytest.approx(other.value, rel=1e-12)


def test_frame_snr_is_limited_on_both_sides():
    frames = np.ones((1, 480))
    assert frame_snr(frames * 100, frames)[0] == -10
    assert frame_snr(frames * 1.001, frames)[0] == 35


def test_a_missing_pesq_takes_the_composites_but_not_ssnr(speech_pair):
    missing = Score.missing("PESQ failed: NoUtterancesError")
    scores = composite(*speech_pair, RATE, pesq=missing)
    assert all(scores[name] == missing for name in COMPOSITES)
    assert all(scores[name].scored for name in PARTS)


def test_digital_silence_inside_the_signals_leaves_finite_scores(speech_pair):
    noisy, clean = (signal.copy() for signal in speech_pair)
    for estimate, target in [
        (np.where(np.arange(noisy.size) < 9000, 0, noisy).astype("i2"), clean),
        (noisy, np.where(np.arange(noisy.size) < 9000, 0, clean).astype("i2")),
    ]:
        assert all(score.scored for score in segmental(estimate, target, RATE))


def test_frames_of_digital_silence_in_both_signals_are_alike(speech_pair):
    noisy, clean = (signal.copy() for signal in speech_pair)
    expected, _, _ = segmental(noisy[9600:], clean[9600:], RATE)
    noisy[:9600] = clean[:9600] = 0
    llr, _, _ = segmental(noisy, clean, RATE)
    assert llr.value < 0.8 * expected.value


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_have_ssnr_but_no_composites(rate, speech_pair):
    scores = composite(*speech_pair, rate)
    assert scores["ssnr"].scored
    assert "must be 16000 Hz" in scores["covl"].reason


def test_rates_below_the_critical_bands_have_no_value(speech_pair):
    assert "min 7400 Hz" in composite(*speech_pair, 4000)["wss"].reason


def test_an_unknown_variant_is_refused(speech_pair):
    with pytest.raises(ValueError, match=r"variant \('matlab'\) must be one of"):
        composite(*speech_pair, RATE, variant="matlab")
