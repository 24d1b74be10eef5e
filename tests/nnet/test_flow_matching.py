"""Flow matching: the way to a target, the embedding of times, the encoder's slices."""

import math

import pytest
import torch

from sesame.features.rate_bands import RateBands
from sesame.nnet.flow_matching import FlowEncoder, TimeEmbedding, follow_flow
from sesame.nnet.rate_codec import RateBandEncoder
from sesame.nnet.slimmable import prefix_state_dict

BANDS = RateBands(161)


def drawn(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3)
    return module


def spectrum(batch=2, frames=3):
    return torch.randn(batch, frames, 161, 2, dtype=torch.float64)


# ---------------------------------------------------------------------------- the way


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 7, 30])
def test_an_oracle_leads_to_the_target_along_a_straight_line(num_steps):
    encoder = RateBandEncoder(8, exponent=0.4)
    start, target, asked = spectrum(), spectrum(), []

    def oracle(x, time, step):
        asked.append((time, step))
        line = (1 - time) * encoder.compress(start) + time * encoder.compress(target)
        torch.testing.assert_close(x, line, rtol=1e-12, atol=1e-12)
        return target

    end = follow_flow(start, oracle, encoder.compress, num_steps)
    assert torch.equal(end, target)
    assert asked == [(n / num_steps, n) for n in range(num_steps)]


def test_one_step_is_the_prediction_from_the_start():
    start = spectrum()

    def predict(x, time, step):
        assert (time, step) == (0, 0)
        return 3 * x

    end = follow_flow(start, predict, torch.tanh, 1)
    assert torch.equal(end, 3 * start.tanh())


def test_many_steps_approach_the_solution_of_the_differential_equation():
    """dx / dt = (x / 2 - x) / (1 - t) with x(0) = 1: at t = 1 / 2 x is 2 ** -0.5."""
    start, errors = torch.ones(1, dtype=torch.float64), []
    for num_steps in (20, 200, 2000):
        places = {}

        def predict(x, time, step, places=places):
            places[time] = x.item()
            return x / 2

        follow_flow(start, predict, lambda x: x, num_steps)
        errors.append(abs(places[0.5] - 0.5**0.5))
    assert errors[1] < 0.11 * errors[0] and errors[2] < 0.11 * errors[1]


# -------------------------------------------------------------------------- the times


def test_the_start_is_embedded_as_zero_and_times_differ():
    embedding = drawn(TimeEmbedding(8))
    vectors = embedding(torch.tensor([0.0, 0.25, 0.5, 1.0]), 8)
    assert not vectors[0].any()
    assert torch.pdist(vectors).min() > 0.1


def test_an_embedding_is_its_series_of_sines():
    embedding = drawn(TimeEmbedding(4, num_terms=3)).double()
    for time in (0.1, 0.9):
        (vector,) = embedding(torch.tensor([time], dtype=torch.float64), 4)
        weights = embedding.embedding
        expected = sum(
            weights[:, k] * math.sin(math.pi * (k + 0.5) * time) for k in range(3)
        )
        torch.testing.assert_close(vector, expected)


def test_an_embedding_can_follow_a_function_that_starts_at_zero():
    times = torch.linspace(0, 1, 200, dtype=torch.float64)
    embedding = TimeEmbedding(1).double()
    with torch.no_grad():
        basis = torch.stack(
            [torch.sin(math.pi * (k + 0.5) * times) for k in range(16)], dim=1
        )
        wanted = times**2 * torch.exp(-times)
        embedding.embedding[0] = torch.linalg.lstsq(basis, wanted).solution
    actual = embedding(times, 1)[:, 0]
    assert (actual - wanted).abs().max() < 0.005


def test_bad_numbers_of_terms_are_refused():
    with pytest.raises(ValueError, match=r"num_terms \(0\) must be at least 1"):
        TimeEmbedding(4, num_terms=0)


# ------------------------------------------------------------------------ the encoder


@pytest.mark.parametrize("channels", [4, 8])
def test_with_the_other_encoder_it_is_one_map_of_six_values_per_bin(channels):
    plain, flow = RateBandEncoder(8).double(), drawn(FlowEncoder(8).double())
    mixture, reference, place = spectrum(), spectrum(), spectrum()
    times = torch.tensor([0.0, 0.7], dtype=torch.float64)
    added = flow(place, times, BANDS, channels)
    actual = plain(mixture, reference, BANDS, channels, added)
    values = [plain.compress(mixture), plain.compress(reference), place]
    six = torch.cat(values, dim=-1)
    for band, (start, stop, group) in {3: (13, 17, 0), 22: (101, 111, 1)}.items():
        width = plain.maps[group].in_features // 4
        weight = torch.zeros(channels, width, 6, dtype=torch.float64)
        weight[..., :4] = plain.maps[group].weight[:channels].unflatten(1, (width, 4))
        weight[..., 4:] = flow.maps[group].weight[:channels].unflatten(1, (width, 2))
        x = six[:, :, start:stop]
        expected = torch.einsum("btfv,cfv->btc", x, weight[:, : stop - start])
        expected = expected + plain.maps[group].bias[:channels]
        expected = expected + flow.time(times, channels)[:, None]
        expected[..., 1::2] = expected.unflatten(-1, (-1, 2)).norm(dim=-1)
        expected = expected + plain.embedding[band, :channels]
        torch.testing.assert_close(actual[:, :, band], expected)


def test_it_starts_at_zero_and_learns_from_the_first_step():
    encoder, x = FlowEncoder(8), spectrum().float()
    y = encoder(x, torch.tensor([0.2, 0.7]), BANDS, 8)
    assert not y.any()
    y.square().add(y).sum().backward()
    used = [encoder.maps[0].weight, encoder.time.embedding]
    assert all(parameter.grad.any() for parameter in used)


def test_one_time_serves_the_whole_batch():
    encoder, x = drawn(FlowEncoder(8)), spectrum().float()
    expected = encoder(x, torch.tensor([0.3, 0.3]), BANDS, 8)
    assert torch.equal(encoder(x, 0.3, BANDS, 8), expected)


def test_a_prefix_on_its_own_gives_the_same_to_the_last_bit():
    encoder, small, x = drawn(FlowEncoder(64)), FlowEncoder(16), spectrum().float()
    small.load_state_dict(prefix_state_dict(encoder, small))
    assert torch.equal(small(x, 0.4, BANDS, 16), encoder(x, 0.4, BANDS, 16))
