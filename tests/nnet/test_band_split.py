"""Band split and mask decoder: equal to a loop over the bands, local, overlap mean."""

import pytest
import torch
from torch import nn

from sesame.features.mel_bands import mel_bands
from sesame.nnet.band_split import BandMaskDecoder, BandSplit

# Two bands of one width, not side by side; a narrow one between; three over bin 4.
BANDS = [(0, 3), (1, 5), (4, 6), (4, 9), (6, 9)]
NUM_BINS = 9


def spectrum(*shape):
    return torch.randn(*(shape or (2, NUM_BINS, 7)), dtype=torch.complex128)


def split(**changes):
    module = BandSplit(BANDS, channels=4, **changes).double()
    return _perturb(module)


def decoder(num_sources=2):
    return _perturb(BandMaskDecoder(BANDS, 4, num_sources, expansion=3).double())


def _perturb(module):
    """Norms start as the identity; make every parameter count."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def _of_band(module, index):
    """Parameters of one band: its group, and its place within."""
    width = BANDS[index][1] - BANDS[index][0]
    mates = [band for band in BANDS if band[1] - band[0] == width]
    widths = sorted({stop - start for start, stop in BANDS})
    return module.groups[widths.index(width)], mates.index(BANDS[index])


def _norm(group, place):
    """The norm with the parameters of one band."""
    count = len(next(p for p in group.parameters() if p.ndim == 3))
    weight, bias = (p.view(count, -1)[place] for p in group.norm.parameters())
    layer = nn.GroupNorm(1, len(weight)).double()
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _linear(stack, place):
    """A pointwise convolution with the parameters of one band."""
    weight, bias = stack.weight[place], stack.bias[place]
    layer = nn.Conv1d(*weight.shape, 1).double()
    layer.load_state_dict({"weight": weight.t().unsqueeze(-1), "bias": bias})
    return layer


def test_each_band_is_normalised_and_projected_on_its_own():
    module, x = split(), spectrum()
    for index, (start, stop) in enumerate(BANDS):
        group, place = _of_band(module, index)
        part = torch.view_as_real(x[:, start:stop])  # (B, w, T, 2)
        part = part.permute(0, 1, 3, 2).flatten(1, 2)
        part = _norm(group, place)(part)
        expected = _linear(group.projection, place)(part)
        torch.testing.assert_close(module(x)[..., index], expected)


@pytest.mark.parametrize("num_sources", [1, 2, 3])
def test_decoder_is_a_network_per_band_and_the_mean_where_bands_overlap(num_sources):
    module, features = decoder(num_sources), torch.randn(2, 4, 7, 5).double()
    sums = torch.zeros(2, 2, num_sources, NUM_BINS, 7, dtype=torch.complex128)
    coverage = torch.zeros(NUM_BINS)
    for index, (start, stop) in enumerate(BANDS):
        coverage[start:stop] += 1
        group, place = _of_band(module, index)
        half = len(group.output.weight) // 2
        for kind in range(2):
            x = _norm(group, place + kind * half)(features[..., index])
            x = _linear(group.hidden, place + kind * half)(x).tanh()
            x = _linear(group.output, place + kind * half)(x)
            x = nn.functional.glu(x, dim=1).unflatten(1, (num_sources, -1, 2))
            x = torch.complex(x[:, :, :, 0], x[:, :, :, 1])
            sums[kind, :, :, start:stop] += x
    mask, residual = module(features)
    assert coverage.max() == 3
    torch.testing.assert_close(mask, sums[0] / coverage[:, None])
    torch.testing.assert_close(residual, sums[1] / coverage[:, None])


def test_bands_that_agree_give_exactly_what_they_say():
    module = BandMaskDecoder(mel_bands(512, 16000, 80), 4, num_sources=2)
    for group in module.groups:
        nn.init.zeros_(group.output.weight)
        nn.init.constant_(group.output.bias, 0.7)
    said = nn.functional.glu(torch.full((2,), 0.7), dim=0).item()
    for value in module(torch.randn(1, 4, 3, 80)):
        assert value.shape == (1, 2, 257, 3)
        torch.testing.assert_close(value, torch.full_like(value, complex(said, said)))


def test_features_depend_on_the_bins_of_their_band_only():
    module, x = split(), spectrum()
    for index in range(NUM_BINS):
        y = x.clone()
        y[:, index] += torch.randn(2, 7)
        moved = (module(x) != module(y)).flatten(0, 2).any(0).tolist()
        assert moved == [start <= index < stop for start, stop in BANDS]


def test_the_level_of_a_band_does_not_reach_its_features():
    module, x = split(), 100 * spectrum()
    torch.testing.assert_close(module(30 * x), module(x), rtol=0, atol=1e-6)


def test_items_do_not_depend_on_their_batch_mates():
    module, x = split(), spectrum()
    torch.testing.assert_close(module(x)[1:], module(x[1:]))
    network, features = decoder(), torch.randn(2, 4, 7, 5).double()
    for both, alone in zip(network(features), network(features[1:]), strict=True):
        torch.testing.assert_close(both[1:], alone)


def test_several_spectra_go_in_side_by_side():
    module = split(in_channels=4)
    spectra = spectrum(2, 2, NUM_BINS, 7)
    assert module(spectra).shape == (2, 4, 7, 5)
    for index in range(2):
        other = spectra.clone()
        other[:, index, 0] += torch.randn(2, 7)
        assert (module(other) != module(spectra))[..., 0].any()


def test_sizes_are_those_of_the_published_bands():
    bands = mel_bands(512, 16000, 80)

    def size(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert size(BandSplit(bands, channels=32)) == 42_204
    assert size(BandMaskDecoder(bands, channels=32, num_sources=2)) == 1_889_392


def test_only_matrices_and_their_biases_have_more_than_one_dimension():
    """Weight decay tells norms from maps by that."""
    for module in (split(), decoder()):
        for name, parameter in module.named_parameters():
            expected = 1 if ".norm." in name else 2 if name.endswith("bias") else 3
            assert parameter.ndim == expected, name


def test_every_parameter_receives_a_gradient():
    network = nn.Sequential(split(), decoder())
    mask, residual = network(spectrum())
    (mask.abs().square().sum() + residual.abs().square().sum()).backward()
    for name, parameter in network.named_parameters():
        # Each entry, for each band has its own. A constant over frames and channels
        # is what the norm of the decoder takes away: nothing here is one.
        assert (parameter.grad.abs() > 1e-9).all(), name


def test_derivatives_are_those_of_the_function():
    module, network = split(), decoder(num_sources=1)
    x = spectrum(1, NUM_BINS, 2).requires_grad_()

    def function(x):
        mask, residual = network(module(x))
        return mask.abs() + residual.abs()

    assert torch.autograd.gradcheck(function, (x,))


def test_masks_are_complex64_under_autocast_and_near_those_without():
    module, network = BandSplit(BANDS, 4), BandMaskDecoder(BANDS, 4, 2)
    x = spectrum().to(torch.complex64)
    with torch.no_grad():
        expected = network(module(x))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(module(x))
    for ours, theirs in zip(rounded, expected, strict=True):
        assert ours.dtype == torch.complex64
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)


@pytest.mark.parametrize("bands", [[], [(0, 2), (3, 5)], [(1, 3)], [(0, 2), (2, 2)]])
@pytest.mark.parametrize("module", [BandSplit, lambda *a: BandMaskDecoder(*a, 2)])
def test_bands_with_gaps_are_refused(bands, module):
    with pytest.raises(ValueError, match="together all from 0 on"):
        module(bands, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BandSplit(BANDS, 4, in_channels=3), r"in_channels \(3\) must be even"),
        (lambda: BandMaskDecoder(BANDS, 4, 0), r"num_sources \(0\) must be at least 1"),
        (lambda: split()(spectrum(2, 8, 7)), r"expected spectrum \(B, 1, 9, T\)"),
        (lambda: split()(spectrum(2, 3, 9, 7)), r"got \(2, 3, 9, 7\)"),
        (lambda: decoder()(torch.zeros(1, 4, 7, 4)), r"expected features \(B, C, T, 5"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
