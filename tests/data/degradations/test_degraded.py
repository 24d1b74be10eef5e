import numpy as np
import pytest

from sesame.data.degradations import BandLimit, Clipping, Codec, Degraded, PacketLoss
from sesame.data.degradations.degraded import check_range, check_waveform


def telephone():
    return BandLimit([8000])


@pytest.mark.parametrize(
    "waveform",
    [np.zeros(0), np.zeros((2, 3)), np.zeros(3, int), np.array([0.0, np.nan])],
    ids=["empty", "stereo", "integers", "nan"],
)
def test_what_is_no_waveform_is_refused_under_its_name(waveform):
    with pytest.raises(ValueError, match=r"^far_end "):
        check_waveform(waveform, "far_end")


@pytest.mark.parametrize("bounds", [(1.0,), (0.2, 0.1), (-0.1, 0.5), (0.5, 1.1)])
def test_ranges_out_of_order_or_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match=r"rate \(.*\) must be \[min, max\] with 0 <="):
        check_range("rate", bounds, 0, 1)


@pytest.mark.parametrize("make", [Clipping, PacketLoss, telephone, Codec])
def test_degradations_keep_length_and_type_and_depend_on_the_generator_only(
    make, speech
):
    degrade = make()
    before = speech.copy()
    first, again = (degrade(speech, 16000, np.random.default_rng(3)) for _ in "ab")
    assert isinstance(first, Degraded)
    assert first.waveform.shape == speech.shape
    assert first.waveform.dtype == np.float32
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_equal(first.done, again.done)
    np.testing.assert_array_equal(speech, before)
    assert not np.array_equal(first.waveform, speech)


@pytest.mark.parametrize("make", [Clipping, PacketLoss, BandLimit, Codec])
def test_silence_stays_silent(make):
    silence = np.zeros(4800, dtype=np.float32)
    assert not make()(silence, 16000, np.random.default_rng(0)).waveform.any()


@pytest.mark.parametrize("make", [Clipping, PacketLoss, BandLimit, Codec])
def test_stereo_is_refused(make):
    with pytest.raises(ValueError, match=r"\(L,\)"):
        make()(np.zeros((2, 99)), 16000, np.random.default_rng(0))
