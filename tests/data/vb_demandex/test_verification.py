import math
import shutil

import numpy as np
import pytest
import soundfile

from sesame.data.vb_demandex.building import build, pair_paths
from sesame.data.vb_demandex.planning import plan_mixtures
from sesame.data.vb_demandex.verification import Check, format_table, verify

RATE = 16_000


@pytest.fixture
def built(tmp_path, plain):
    """A set of babble, SSN and noise at all SNRs; 24 pairs."""
    folders = {"clean": plain / "speech", "noise": plain / "noise"}
    plan = plan_mixtures(
        *folders.values(), splits=["test"], test_speakers=[], items_per_file=4
    )
    build(tmp_path / "out", plan, folders)
    return tmp_path / "out"


def change(path, function):
    samples, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, function(samples.astype(float)).astype(np.int16), RATE)


def test_what_was_built_is_right(built):
    checks = verify(built)
    assert len(checks) == 24 and not any(check.problem for check in checks)
    for check in checks:
        assert check.snr_db == pytest.approx(check.snr_asked_db, abs=0.05)
        assert math.isnan(check.spectral_distance_db) == (check.noise_type != "ssn")
    distances = [row.spectral_distance_db for row in checks if row.noise_type == "ssn"]
    assert len(distances) > 5 and max(distances) < 1.2


def test_a_noise_that_is_a_little_louder_is_noticed(built):
    first = verify(built)[0]
    clean, noisy = pair_paths(built, "test", first.item_id)
    reference, _ = soundfile.read(clean, dtype="int16")
    gain = 10 ** (0.15 / 20)
    change(noisy, lambda x: np.rint(reference + gain * (x - reference)))
    checks = verify(built)
    assert checks[0].snr_db == pytest.approx(first.snr_asked_db - 0.15, abs=0.02)
    assert checks[0].problem.startswith("SNR (")
    assert not any(check.problem for check in checks[1:])


def test_noise_of_another_colour_is_noticed(built):
    first = next(check for check in verify(built) if check.noise_type == "ssn")
    clean, noisy = pair_paths(built, "test", first.item_id)
    reference, _ = soundfile.read(clean, dtype="int16")

    def whiten(samples):
        noise = samples - reference
        white = np.random.default_rng(0).standard_normal(len(noise)) * noise.std()
        # At the same SSNR, so that only the spectrum is wrong.
        return np.rint(reference + white)

    change(noisy, whiten)
    found = next(c for c in verify(built) if c.item_id == first.item_id)
    assert "dB off its source" in found.problem
    assert found.snr_db == pytest.approx(first.snr_asked_db, abs=0.1)


def test_missing_cut_and_foreign_files_are_told_not_raised(built):
    checks = verify(built)
    paths = [pair_paths(built, "test", check.item_id)[1] for check in checks[:4]]
    paths[0].unlink()
    soundfile.write(paths[1], np.ones(5999), RATE)
    soundfile.write(paths[2], np.ones(6000), 8_000)
    paths[3].write_text("no audio")
    messages = ("cannot read", "lengths (clean 6000, noisy 5999)", "mono", "cannot")
    after = verify(built)
    for check, message in zip(after, messages, strict=False):
        assert message in check.problem and math.isnan(check.snr_db)
    assert not any(check.problem for check in after[4:])


def test_without_its_source_a_spectrum_is_not_judged(built, plain):
    shutil.rmtree(plain / "speech")
    checks = verify(built)
    assert not any(check.problem for check in checks)
    assert all(math.isnan(check.spectral_distance_db) for check in checks)


def test_a_folder_without_a_complete_set_is_refused(tmp_path, built):
    with pytest.raises(ValueError, match=r"cannot read .*build\.json"):
        verify(tmp_path)
    (built / "mixtures.csv").unlink()
    with pytest.raises(ValueError, match="the set is not complete"):
        verify(built)


def test_the_table_sums_up_each_kind_of_noise():
    nan = float("nan")
    checks = [
        Check("a", "test", "ssn", 5.0, 5.02, 0.4, ""),
        Check("b", "test", "ssn", 0.0, -0.04, 0.8, ""),
        Check("c", "test", "babble", 0.0, nan, nan, "cannot read"),
    ]
    lines = format_table(checks).splitlines()
    assert lines[2] == "| test | ssn | 2 | 0.030 / 0.040 | 0.60 / 0.80 | 0 |"
    assert lines[3] == "| test | babble | 1 | - | - | 1 |"


def test_real_recordings_come_out_right(tmp_path, shared_audio):
    folders = {
        "clean": shared_audio / "speech" / "valid",
        "noise": shared_audio / "noise" / "valid",
        "babble": shared_audio / "speech" / "babble",
    }
    plan = plan_mixtures(
        *folders.values(),
        splits=["test"],
        test_speakers=[],
        max_seconds=2,
        items_per_file=2,
    )
    build(tmp_path / "out", plan, folders)
    checks = verify(tmp_path / "out")
    assert len(checks) == 32 and not any(check.problem for check in checks)
    off = [abs(check.snr_db - check.snr_asked_db) for check in checks]
    spectra = [row.spectral_distance_db for row in checks if row.noise_type == "ssn"]
    assert max(off) < 0.05 and len(spectra) >= 8 and max(spectra) < 0.5
