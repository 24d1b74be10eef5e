import csv

import numpy as np
import pytest
import torch

from sesame.inference import Separator
from sesame.inference.separation_routing import (
    ExpertPlane,
    MixtureRouting,
    expert_usage,
    separation_routing,
    write_usage,
)
from sesame.models.tf_moe import TFConformer

RATE = 16000
ARGUMENTS = {"n_fft": 64, "hop_length": 16, "num_bands": 6, "channels": 4}
NAMES = [
    "block 0, time layer, first",
    "block 0, time layer, second",
    "block 0, frequency layer, first",
    "block 0, frequency layer, second",
]


def noise(length=400):
    return 0.1 * np.random.default_rng(0).standard_normal(length)


def routed(separator_folder, **changed):
    folder = separator_folder(**changed).folder
    separator = Separator.from_pretrained(folder, "cpu")
    return separator, separation_routing(separator, noise(), RATE)


@pytest.mark.parametrize("route", ["seq", "batch", "token"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_planes_show_each_choice_where_it_was_made(separator_folder, route, top_k):
    separator = Separator.from_pretrained(
        separator_folder(route=route, top_k=top_k).folder, "cpu"
    )
    inputs, layers = {}, {}
    for name, module in separator.network.named_modules():
        if getattr(module, "router", None) is not None:
            layers[name] = module
            module.register_forward_hook(
                lambda m, args, _, name=name: inputs.update({name: args[0]})
            )
    routing = separation_routing(separator, noise(), RATE)
    assert [plane.name for plane in routing.planes] == NAMES
    num_bands, num_frames = 6, 400 // 16 + 1
    for plane, (name, layer) in zip(routing.planes, layers.items(), strict=True):
        # The router's decision again, token by token, from what the layer heard.
        tokens = inputs[name]
        axis = {"seq": 1, "batch": 0}.get(route)
        if axis is not None:
            tokens = tokens.mean(axis, keepdim=True).expand_as(tokens)
        with torch.inference_mode():
            best = layer.router.token_projection(tokens).argmax(-1).numpy()
        best = best if "time layer" in plane.name else best.T
        assert plane.expert_ids.shape == best.shape == (num_bands, num_frames)
        assert (plane.expert_ids == best).mean() > 0.99


@pytest.mark.parametrize(
    ("route", "time", "frequency"),
    [
        ("seq", (False, True), (True, False)),
        ("batch", (True, False), (False, True)),
        ("token", (True, True), (True, True)),
    ],
)
def test_a_layer_says_what_its_choices_follow(separator_folder, route, time, frequency):
    _, routing = routed(separator_folder, route=route)
    found = [(plane.per_frame, plane.per_band) for plane in routing.planes]
    assert found == [time, time, frequency, frequency]
    for plane in routing.planes:
        ids = plane.expert_ids
        assert plane.per_frame or (ids == ids[:, :1]).all()
        assert plane.per_band or (ids == ids[:1]).all()
        if not plane.per_band:
            np.testing.assert_array_equal(plane.by_frame(), ids[0])
        if not plane.per_frame:
            np.testing.assert_array_equal(plane.by_band(), ids[:, 0])


def test_what_was_separated_comes_with_it(separator_folder):
    separator, routing = routed(separator_folder)
    np.testing.assert_allclose(routing.sources, separator(noise(), RATE), atol=1e-6)
    edges = routing.band_edges
    assert edges.shape == (6, 2) and edges.min() == 0 and edges.max() == RATE / 2
    assert (np.diff(edges, axis=1) > 0).all() and (np.diff(edges[:, 0]) >= 0).all()


def test_signals_at_other_rates_have_the_frames_of_the_network(separator_folder):
    separator, _ = routed(separator_folder)
    routing = separation_routing(separator, noise(3000), 48000)
    assert routing.planes[0].expert_ids.shape == (6, 1000 // 16 + 1)


def test_a_dense_separator_has_no_planes():
    torch.manual_seed(0)
    separator = Separator(TFConformer(**ARGUMENTS, num_blocks=1), RATE, "cpu")
    routing = separation_routing(separator, noise(), RATE)
    assert routing.planes == [] and expert_usage(routing) == []


def test_only_one_channel_is_taken(separator_folder):
    separator, _ = routed(separator_folder)
    with pytest.raises(ValueError, match=r"\(2, 100\) must be \(L,\)"):
        separation_routing(separator, np.zeros((2, 100)), RATE)


def test_usage_is_counted_under_the_conditions_that_a_layer_can_follow(
    separator_folder,
):
    for route in ("seq", "batch", "token"):
        _, routing = routed(separator_folder, route=route)
        table = expert_usage(routing)
        for plane in routing.planes:
            own = {u.condition: u for u in table if u.layer == plane.name}
            bands = [u for c, u in own.items() if c.endswith("kHz")]
            voicing = [own[c] for c in ("silence", "unvoiced", "voiced") if c in own]
            assert bool(bands) == plane.per_band and bool(voicing) == plane.per_frame
            whole = own["all"]
            assert whole.count == plane.expert_ids.size
            for parts in filter(None, (bands, voicing)):
                # What is divided adds up again.
                assert sum(part.count for part in parts) == whole.count
                mean = sum(p.count * np.nan_to_num(p.shares) for p in parts)
                np.testing.assert_allclose(mean / whole.count, whole.shares)


def test_experts_of_voices_are_told_from_those_of_hisses():
    times = np.arange(RATE) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 110 * times))
    hiss = np.random.default_rng(0).standard_normal(RATE)
    sources = np.stack([np.concatenate([buzz, hiss]), np.zeros(2 * RATE)])
    ids = np.broadcast_to(np.repeat([0, 2], 100), (6, 200))
    plane = ExpertPlane("x", ids, True, False, 3)
    edges = np.linspace(0, 8000, 7)
    edges = np.stack([edges[:-1], edges[1:]], axis=1)
    routing = MixtureRouting(sources.sum(0), sources, RATE, edges, [plane])
    usage = {u.condition: u for u in expert_usage(routing)}
    assert usage["voiced"].shares[0] > 0.95 and usage["unvoiced"].shares[2] > 0.95
    assert usage["silence"].count == 0 and np.isnan(usage["silence"].shares).all()
    assert usage["all"].shares[1] == 0


def test_the_table_is_a_file_with_a_line_per_condition(separator_folder, tmp_path):
    _, routing = routed(separator_folder)
    table = expert_usage(routing)
    write_usage(table, tmp_path / "usage.csv")
    with open(tmp_path / "usage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [usage.layer for usage in table]
    for row, usage in zip(rows, table, strict=True):
        shares = [float(row[f"expert {number}"]) for number in range(3)]
        np.testing.assert_allclose(shares, usage.shares, rtol=1e-5)
        assert (row["condition"], int(row["tokens"])) == usage[1:3]
