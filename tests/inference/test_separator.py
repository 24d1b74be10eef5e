import numpy as np
import pytest
import torch

from sesame.features import match_levels
from sesame.inference import Separator

RATE = 16000


@pytest.fixture
def separator(separator_folder):
    return Separator.from_pretrained(separator_folder().folder, "cpu")


def noise(*shape):
    return 0.1 * np.random.default_rng(0).standard_normal(shape)


def test_one_window_at_the_rate_of_the_network_is_the_network(separator_folder):
    made = separator_folder()
    separator = Separator.from_pretrained(made.folder, "cpu")
    mixture = noise(3001).astype(np.float32)
    with torch.inference_mode():
        given = torch.from_numpy(mixture)[None]
        expected = match_levels(made.network(given), given)[0]
    np.testing.assert_allclose(separator(mixture, RATE), expected, atol=1e-7)


@pytest.mark.parametrize("num_sources", [1, 3])
def test_there_is_a_row_for_each_speaker(separator_folder, num_sources):
    folder = separator_folder(num_sources=num_sources).folder
    separator = Separator.from_pretrained(folder, "cpu")
    assert separator.num_sources == num_sources
    assert separator(noise(500), RATE).shape == (num_sources, 500)


@pytest.mark.parametrize("rate", [4000, 8000, 22050, 44100, 384_000])
@pytest.mark.parametrize("length", [1, 999])
def test_every_rate_and_length_is_kept(separator, rate, length):
    assert separator(noise(2, length), rate).shape == (2, length)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.int32]
)
def test_kind_and_dtype_are_those_of_the_mixture(separator, dtype):
    mixture = torch.from_numpy(1000 * noise(800)).to(dtype)
    separated = separator(mixture, RATE)
    assert separated.dtype == dtype and separated.shape == (2, 800)
    expected = separator(mixture.double().numpy(), RATE)
    assert expected.dtype == np.float64
    # Integers are rounded; bfloat16 has eight bits.
    torch.testing.assert_close(
        separated.double(), torch.from_numpy(expected), rtol=2**-8, atol=0.51
    )


def test_a_gain_on_the_mixture_is_the_same_gain_on_the_speakers(separator):
    mixture = noise(2000)
    quiet, loud = separator(mixture, RATE), separator(2.0**100 * mixture, RATE)
    np.testing.assert_allclose(loud, 2.0**100 * quiet, rtol=1e-6)
    assert not separator(0 * mixture, RATE).any()


def test_a_mixture_that_is_none_is_refused(separator):
    with pytest.raises(ValueError, match="finite"):
        separator(np.array([np.nan]), RATE)
    with pytest.raises(ValueError, match="sample_rate"):
        separator(noise(10), 0)


def test_an_enhancer_is_no_separator(model_folder):
    with pytest.raises(ValueError, match="SESAME enhances speech"):
        Separator.from_pretrained(model_folder, "cpu")
