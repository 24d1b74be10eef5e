import numpy as np
import pytest
import torch

from sesame.inference.waveforms import (
    check_rate,
    find_device,
    full_scale,
    like_input,
    move_network,
    read_waveform,
)

DTYPES = ["float16", "float32", "float64", "int16", "int32", "bfloat16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_read_goes_back_unchanged(dtype):
    tensor = torch.tensor([[-3.0, 0.0, 2.0], [1.0, 5.0, -7.0]])
    tensor = tensor.to(getattr(torch, dtype))
    back = like_input(read_waveform(tensor), tensor)
    assert back.dtype == tensor.dtype and torch.equal(back, tensor)
    if dtype != "bfloat16":
        array = tensor.numpy().astype(np.dtype(dtype).newbyteorder(">"))
        back = like_input(read_waveform(array), array)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_a_result_may_have_another_shape_and_saturates():
    result = like_input(np.full((2, 3), 1e6), np.zeros(7, dtype=np.int16))
    np.testing.assert_array_equal(result, np.full((2, 3), 32767, dtype=np.int16))


def test_what_was_read_is_a_copy():
    array = np.zeros(4)
    read_waveform(array)[0, 0] = 1
    assert not array.any()


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        ([0.0], r"waveform \(list\) must be"),
        (np.zeros(0), "not empty"),
        (np.zeros((1, 1, 4)), r"must be \(L,\)"),
        (np.zeros((33, 4)), r"channels \(33\)"),
        (np.zeros(4, dtype=np.int64), "dtype of waveform"),
        (np.array([0.0, np.nan]), "1 of 2 samples are not"),
    ],
)
def test_what_is_no_waveform_is_refused(waveform, reason):
    with pytest.raises(ValueError, match=reason):
        read_waveform(waveform)


@pytest.mark.parametrize("rate", [3999, 384_001, 16000.0, "16000"])
def test_a_rate_is_a_whole_number_in_range(rate):
    with pytest.raises(ValueError, match="sample_rate"):
        check_rate(rate)


def test_a_device_that_is_unknown_or_absent_is_named():
    with pytest.raises(ValueError, match=r"device \(toaster\) cannot be used"):
        find_device("toaster")
    if not torch.cuda.is_available():
        assert find_device("auto") == torch.device("cpu")
        with pytest.raises(ValueError, match=r"device \(cuda:7\) cannot be used"):
            move_network(torch.nn.Linear(1, 1), torch.device("cuda:7"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_loudest_sample_of_a_kind_is_at_full_scale(dtype):
    kind = getattr(torch, dtype)
    loudest = 1 if kind.is_floating_point else torch.iinfo(kind).max + 1
    assert full_scale(torch.zeros(2, dtype=kind)) == loudest
    if dtype != "bfloat16":
        assert full_scale(np.zeros(2, dtype=dtype)) == loudest
        assert full_scale(np.zeros(2, np.dtype(dtype).newbyteorder(">"))) == loudest
