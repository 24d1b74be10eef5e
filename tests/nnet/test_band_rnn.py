"""The recurrent layer: equal to GroupNorm, LSTM and a linear map; sequences apart."""

import pytest
import torch
from torch import nn

from sesame.nnet import band_rnn
from sesame.nnet.band_rnn import BandRNN


def layer(hidden_channels=None):
    module = BandRNN(4, hidden_channels).double()
    nn.init.normal_(module.norm.weight)
    nn.init.normal_(module.norm.bias)
    return module


def test_it_is_group_norm_lstm_and_a_linear_map():
    module, x = layer(), torch.randn(3, 7, 4).double()
    norm = nn.GroupNorm(1, 4).double()
    norm.load_state_dict(module.norm.state_dict())
    states, _ = module.lstm(norm(x.transpose(1, 2)).transpose(1, 2))
    assert states.shape[2] == 16
    torch.testing.assert_close(module(x), module.projection(states))


def test_the_level_of_a_sequence_does_not_matter():
    module, x = layer(), 100 * torch.randn(3, 7, 4).double()
    torch.testing.assert_close(module(30 * x), module(x), rtol=0, atol=1e-6)


def test_sequences_are_kept_apart():
    module, x = layer(hidden_channels=5), torch.randn(3, 7, 4).double()
    torch.testing.assert_close(module(x)[1:2], module(x[1:2]))


@pytest.mark.parametrize("count", [1, 6, 7])
def test_pieces_give_the_whole(monkeypatch, count):
    module, x = layer(), torch.randn(count, 5, 4).double()
    expected = module(x)
    monkeypatch.setattr(band_rnn, "_GATE_BYTES", 1)
    monkeypatch.setattr(band_rnn, "_MIN_SEQUENCES", 2)
    torch.testing.assert_close(module(x), expected)


def test_steps_see_both_directions():
    module, x = layer(), torch.randn(1, 7, 4).double()
    # A change that the norm does not take away.
    y = x.clone()
    y[0, 3, 0] += 1
    assert (module(x) != module(y)).any(2).all()


def test_every_parameter_receives_a_gradient():
    module = layer()
    module(torch.randn(3, 7, 4).double()).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().max() > 1e-9, name
