import sys

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from sesame.features import enhance_waveform
from sesame.inference import Enhancer
from sesame.inference.audio_search import find_audio
from sesame.inference.feature_map import block_features, embed, feature_map, last_block
from sesame.models import MPSENet


def noise(length, seed=1):
    return np.random.default_rng(seed).uniform(-0.3, 0.3, length)


@pytest.fixture
def folder(tmp_path):
    """Six files of a second, one of them with two channels at another rate."""
    path = tmp_path / "set"
    path.mkdir()
    for seed in range(5):
        soundfile.write(path / f"{seed}.wav", noise(4000, seed), 16000)
    soundfile.write(path / "5.wav", noise((8000, 2)), 32000)
    return path


@pytest.fixture
def files(folder):
    return find_audio(str(folder), folder / "out")


def test_features_are_what_the_decoders_are_given_averaged_over_frequency(enhancer):
    given = []
    enhancer.network.mask_decoder.register_forward_pre_hook(
        lambda module, inputs: given.append(inputs[0])
    )
    features = block_features(enhancer, noise(1000))
    assert features.shape == (64, 4)
    expected = given[0].double().mean(dim=3)[0].T.numpy()
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-12)


def test_features_do_not_depend_on_the_level(enhancer):
    # A power of two, so that phases of real bins do not jump by rounding.
    quiet, loud = (block_features(enhancer, gain * noise(1000)) for gain in (1 / 64, 1))
    np.testing.assert_allclose(quiet, loud, rtol=0, atol=1e-9)


def test_the_network_is_left_as_it_was(enhancer):
    block_features(enhancer, noise(1000))
    assert not last_block(enhancer.network)._forward_hooks
    with pytest.raises(RuntimeError):
        # A network of other bins than the transform's, which fails inside.
        enhancer.transform = type(enhancer.transform)(32, 8, 32)
        block_features(enhancer, noise(1000))
    assert not last_block(enhancer.network)._forward_hooks


def test_the_same_seed_gives_the_same_map_and_another_one_another(enhancer, files):
    sets = {"a": files[:3], "b": files[3:]}
    arguments = {"points": 40, "perplexity": 5}
    first = feature_map("m", enhancer, sets, **arguments)
    assert feature_map("m", enhancer, sets, **arguments) == first
    reversed_sets = {name: chosen[::-1] for name, chosen in sets.items()}
    assert feature_map("m", enhancer, reversed_sets, **arguments) == first
    other = feature_map("m", enhancer, sets, **arguments, seed=1)
    assert [p.frame for p in other] != [p.frame for p in first]


def test_sets_share_the_points_and_files_share_those_of_a_set(enhancer, files):
    # 31 points of a set are those of 4 files: about ten frames of each.
    points = feature_map("m", enhancer, {"a": files, "b": files[:2]}, 62, perplexity=5)
    for name, counts in (("a", [8, 8, 8, 7]), ("b", [16, 15])):
        own = [point for point in points if point.dataset == name]
        of_file = {}
        for point in own:
            of_file.setdefault(point.file, []).append(point.frame)
        assert [len(frames) for frames in of_file.values()] == counts
        for frames in of_file.values():
            assert frames == sorted(set(frames)) and 0 <= frames[0]
            assert frames[-1] <= 4000 // 16


def test_frames_are_drawn_alike_for_every_model(enhancer, files, tiny):
    torch.manual_seed(5)
    other = MPSENet(num_bins=33, channels=6, num_blocks=1, num_heads=2, dense_depth=1)
    other = Enhancer(other, tiny.transform, 16000, "cpu")
    maps = [
        feature_map("m", e, {"a": files}, 30, perplexity=5) for e in (enhancer, other)
    ]
    assert [p[:4] for p in maps[0]] == [p[:4] for p in maps[1]]
    assert maps[0] != maps[1]


def test_points_of_files_are_means_over_them(enhancer, files):
    points = feature_map("m", enhancer, {"a": files}, 5, unit="file", perplexity=2)
    assert len(points) == 5
    assert all(point.frame is None for point in points)
    assert len({point.file for point in points}) == 5


def test_two_clouds_stay_two_clouds():
    near = np.random.default_rng(0).standard_normal((2, 40, 8))
    plane = embed(np.concatenate([near[0], near[1] + 20]), perplexity=10)
    one, other = plane[:40], plane[40:]
    axis = other.mean(axis=0) - one.mean(axis=0)
    assert (one @ axis).max() < (other @ axis).min()


def test_only_the_beginning_of_a_long_file_counts(enhancer, tmp_path, monkeypatch):
    monkeypatch.setattr("sesame.inference.feature_map.MAX_SECONDS", 1)
    start = noise(8000)
    for name, end in (("a", 500), ("b", 9000)):
        audio = np.concatenate([start, noise(end, 7)])
        soundfile.write(tmp_path / f"{name}.wav", audio, 8000, subtype="DOUBLE")
    first, second = (
        feature_map(
            "m", enhancer, {"a": [(tmp_path / f"{name}.wav", "x")]}, 20, perplexity=5
        )
        for name in "ab"
    )
    assert first == second


@pytest.mark.parametrize("perplexity", [0, 12, 30, float("nan")])
def test_a_perplexity_that_does_not_fit_is_refused(perplexity):
    with pytest.raises(ValueError, match=r"perplexity \(.*\) must be .* points \(12\)"):
        embed(noise((12, 3)), perplexity)


def test_what_cannot_be_mapped_is_refused(enhancer, files):
    def refuse(message, sets, **arguments):
        with pytest.raises(ValueError, match=message):
            feature_map("m", enhancer, sets, **arguments)

    refuse("at least one set", {})
    refuse("set b must hold at least one file", {"a": files, "b": []})
    refuse(
        r"points \(1\) must be at least one for each of 2",
        {"a": files, "b": files},
        points=1,
    )
    refuse(r"unit \('bin'\) must be one of", {"a": files}, unit="bin")
    refuse(r"m: perplexity \(30\) .* points \(20\)", {"a": files}, points=20)
    with pytest.raises(ValueError, match="must not all be the same"):
        embed(np.ones((9, 4)), 3)
    with pytest.raises(ValueError, match=r"\(2, 100\) must be \(L,\)"):
        block_features(enhancer, np.zeros((2, 100)))


def test_a_damaged_file_is_named(enhancer, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"a\.wav"):
        feature_map("m", enhancer, {"a": [(path, "a.wav")]})


def test_features_that_are_not_finite_are_refused(enhancer):
    enhancer.network.blocks[-1].register_forward_hook(
        lambda m, i, out: out * float("nan")
    )
    with pytest.raises(ValueError, match="must be finite"):
        block_features(enhancer, noise(500))


@pytest.mark.parametrize("blocks", [None, [], [nn.Identity()]])
def test_a_network_without_blocks_is_refused(blocks):
    network = nn.Module()
    if blocks is not None:
        network.blocks = nn.ModuleList(blocks)
    if blocks:
        assert last_block(network) is network.blocks[-1]
    else:
        with pytest.raises(ValueError, match=r"network \(Module\) must have blocks"):
            last_block(network)


def test_without_scikit_learn_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        embed(noise((12, 3)), 3)


def test_enhancing_and_mapping_see_the_same_network(enhancer):
    signal = torch.from_numpy(noise(1000)).float()[None]
    with torch.inference_mode():
        before = enhance_waveform(enhancer.network, enhancer.transform, signal)
        block_features(enhancer, noise(1000))
        after = enhance_waveform(enhancer.network, enhancer.transform, signal)
    assert torch.equal(before, after)
