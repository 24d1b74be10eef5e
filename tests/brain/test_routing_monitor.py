"""Loads of experts: balance within a step, report of an epoch."""

import csv
import logging
import math

import pytest
import torch

from sesame.brain.routing_monitor import RoutingMonitor
from sesame.models import SESAME
from sesame.nnet.moe import moe_layers

SPEED = 0.01


def _network():
    return SESAME(
        num_bins=17,
        channels=4,
        num_blocks=2,
        num_heads=1,
        dense_depth=1,
        moe_blocks=[1],
        num_experts=4,
        top_k=2,
        noise_context_dim=2,
    )


@pytest.fixture
def network():
    return _network()


@pytest.fixture
def monitor(network):
    return RoutingMonitor(network, SPEED)


def _forward(network, batch=1):
    network(torch.rand(batch, 17, 20), torch.zeros(batch, 17, 20))


def _loads(network):
    return [layer.routing.load.clone() for layer in moe_layers(network).values()]


def _biases(network):
    return [m.router.expert_bias.clone() for m in moe_layers(network).values()]


def _rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_sparse_layer_is_found_once(monitor):
    assert list(monitor.layers) == [
        "blocks.1.time_layer.feed_forward",
        "blocks.1.frequency_layer.feed_forward",
    ]


def test_a_bias_moves_against_the_load_of_its_own_layer(network, monitor):
    _forward(network)
    loads = _loads(network)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=True)
    for load, bias in zip(loads, _biases(network), strict=True):
        torch.testing.assert_close(bias, SPEED * torch.sign(load.mean() - load))
        assert bias.any()


def test_loads_of_micro_batches_add_up_to_one_update(network, monitor):
    expected = 0
    for _ in range(3):
        _forward(network)
        monitor.add_micro_batch()
        expected = expected + torch.stack(_loads(network))
    monitor.finish_step(update_bias=True)
    for load, bias in zip(expected, _biases(network), strict=True):
        torch.testing.assert_close(bias, SPEED * torch.sign(load.mean() - load))


def test_a_step_does_not_see_the_load_of_the_step_before(network, monitor):
    _forward(network)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=True)
    before = _biases(network)
    _forward(network)
    loads = _loads(network)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=True)
    for load, old, new in zip(loads, before, _biases(network), strict=True):
        torch.testing.assert_close(new - old, SPEED * torch.sign(load.mean() - load))


def test_a_skipped_step_moves_no_bias_and_is_forgotten_by_the_next(network, monitor):
    _forward(network, batch=5)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=False)
    assert not any(bias.any() for bias in _biases(network))
    test_a_bias_moves_against_the_load_of_its_own_layer(network, monitor)


def test_a_window_that_the_epoch_cuts_short_does_not_leak_into_the_next(
    network, monitor
):
    _forward(network, batch=5)
    monitor.add_micro_batch()
    monitor.finish_epoch(1, None)
    test_a_bias_moves_against_the_load_of_its_own_layer(network, monitor)


def test_the_table_counts_every_token_of_the_epoch(network, monitor, tmp_path):
    path, total = tmp_path / "routing.csv", 0
    for _ in range(3):
        _forward(network)
        total = total + torch.stack(_loads(network))
        monitor.add_micro_batch()
        monitor.finish_step(update_bias=True)
    imbalance = total.amax(1) / total.mean(1)
    assert monitor.current_imbalance() == pytest.approx(float(imbalance.max()))
    monitor.finish_epoch(7, path)
    rows = _rows(path)
    assert [row["layer"] for row in rows] == list(monitor.layers)
    for row, ratio, bias in zip(rows, imbalance, _biases(network), strict=True):
        assert row["epoch"] == "7"
        assert float(row["load_max_over_mean"]) == pytest.approx(float(ratio))
        assert float(row["bias_range"]) == pytest.approx(float(bias.max() - bias.min()))


def test_epochs_are_appended_under_one_header_and_start_afresh(
    network, monitor, tmp_path
):
    path = tmp_path / "routing.csv"
    for epoch in (1, 2):
        _forward(network)
        monitor.add_micro_batch()
        monitor.finish_step(update_bias=False)
        load = torch.stack(_loads(network))
        monitor.finish_epoch(epoch, path)
        assert math.isnan(monitor.current_imbalance())
    rows = _rows(path)
    assert [row["epoch"] for row in rows] == ["1", "1", "2", "2"]
    ratios = [float(row["load_max_over_mean"]) for row in rows[2:]]
    assert ratios == pytest.approx((load.amax(1) / load.mean(1)).tolist())


def test_the_table_is_in_the_log_too(network, monitor, caplog):
    _forward(network)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=True)
    with caplog.at_level(logging.INFO):
        monitor.finish_epoch(3, None)
    assert "epoch: 3, layer: blocks.1.time_layer.feed_forward" in caplog.text
    assert "dead_experts" in caplog.text and "routing_entropy" in caplog.text


def test_an_epoch_that_is_resumed_counts_what_came_before(network, monitor, tmp_path):
    resumed = RoutingMonitor(_network(), SPEED)
    for step in range(4):
        if step == 2:
            monitor.save(tmp_path / "routing.ckpt")
            resumed.load(tmp_path / "routing.ckpt", end_of_epoch=False)
            resumed.layers = monitor.layers
        _forward(network)
        for one in (monitor, resumed)[: 1 if step < 2 else 2]:
            one.add_micro_batch()
            one.finish_step(update_bias=False)
    for one, name in ((monitor, "one.csv"), (resumed, "other.csv")):
        one.finish_epoch(1, tmp_path / name)
    assert _rows(tmp_path / "one.csv") == _rows(tmp_path / "other.csv")


def test_nothing_counted_can_be_saved_and_loaded(monitor, tmp_path):
    monitor.save(tmp_path / "routing.ckpt")
    monitor.load(tmp_path / "routing.ckpt", end_of_epoch=True)
    monitor.finish_epoch(1, tmp_path / "routing.csv")
    assert not (tmp_path / "routing.csv").exists()


def test_a_network_without_experts_has_nothing_to_report(tmp_path):
    monitor = RoutingMonitor(torch.nn.Linear(1, 1), SPEED)
    monitor.add_micro_batch()
    monitor.finish_step(update_bias=True)
    monitor.save(tmp_path / "routing.ckpt")
    monitor.load(tmp_path / "routing.ckpt", end_of_epoch=False)
    assert math.isnan(monitor.current_imbalance())
    monitor.finish_epoch(1, tmp_path / "routing.csv")
    assert not (tmp_path / "routing.csv").exists()
