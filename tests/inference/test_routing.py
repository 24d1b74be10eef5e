import numpy as np
import pytest
import torch

from sesame.inference import Enhancer, expert_maps
from sesame.inference.routing import ExpertMap
from sesame.models import MPSENet

sparse = pytest.mark.parametrize(
    "system",
    ["MambAttention sparse", "SESAME sparse", "TransformerMamba sparse"],
    indirect=True,
)


def noise(length):
    return np.random.default_rng(1).standard_normal(length)


@sparse
def test_maps_show_each_token_where_the_layer_saw_it(system):
    # Time layers see (bands, frames, C), frequency layers (frames, bands, C).
    enhancer, seen = Enhancer.from_pretrained(system.folder, "cpu"), {}
    block = enhancer.network.blocks[1]
    block = getattr(block, "first", block)
    for axis in ("time", "frequency"):
        layer = getattr(block, f"{axis}_layer")

        def remember(module, args, output, axis=axis):
            ids = module.routing.expert_ids.clone()
            seen[axis] = ids.unflatten(0, args[0].shape[:2]).numpy()

        getattr(layer, "feed_forward", layer).register_forward_hook(remember)
    time_map, frequency_map = expert_maps(enhancer, noise(1000), 16000)
    assert time_map.name == "block 1, time layer"
    assert frequency_map.name == "block 1, frequency layer"
    np.testing.assert_array_equal(time_map.expert_ids, seen["time"].transpose(2, 0, 1))
    np.testing.assert_array_equal(
        frequency_map.expert_ids, seen["frequency"].transpose(2, 1, 0)
    )


def test_load_is_the_share_of_all_choices(enhancer):
    for layer in expert_maps(enhancer, noise(1000), 16000):
        counts = np.bincount(layer.expert_ids.ravel(), minlength=3)
        np.testing.assert_allclose(layer.load, counts / counts.sum())
        shares = layer.share_per_frame()
        np.testing.assert_allclose(shares.sum(axis=0), 1)
        np.testing.assert_allclose(shares.mean(axis=1), layer.load)


def test_first_choices_are_those_of_the_largest_score(enhancer):
    for layer in expert_maps(enhancer, noise(500), 16000):
        assert (layer.expert_ids[0] != layer.expert_ids[1]).all()
    routing = enhancer.network.blocks[1].frequency_layer.feed_forward.routing
    best = routing.logits.argmax(1).numpy()
    np.testing.assert_array_equal(layer.expert_ids[0].T.ravel(), best)


def test_signals_at_other_rates_have_the_frames_of_the_network(enhancer):
    maps = expert_maps(enhancer, noise(3000), 48000)
    assert all(m.expert_ids.shape[-1] == 1008 // 16 + 1 for m in maps)
    assert all(m.sample_rate == 16000 for m in maps)


def test_a_dense_network_has_no_maps(tiny):
    torch.manual_seed(0)
    network = MPSENet(num_bins=33, channels=4, num_blocks=1, num_heads=2)
    enhancer = Enhancer(network, tiny.transform, 16000, "cpu")
    assert expert_maps(enhancer, noise(300), 16000) == []


def test_only_one_channel_is_taken(enhancer):
    with pytest.raises(ValueError, match=r"\(2, 100\) must be \(L,\)"):
        expert_maps(enhancer, np.zeros((2, 100)), 16000)


def test_an_expert_that_nobody_chose_has_a_share_of_zero():
    layer = ExpertMap("x", np.zeros((1, 2, 3), dtype=int), np.array([1.0, 0.0]), 16000)
    np.testing.assert_array_equal(layer.share_per_frame(), [[1, 1, 1], [0, 0, 0]])
