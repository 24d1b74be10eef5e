import json
import math

from sesame.inference.model_card import RunFacts, model_card, score_table
from sesame.metrics import format_table, summarize, write_scores

ROWS = [
    {"id": "a", "pesq": 2.5, "csig": math.nan, "si_sdr": -3.25, "reasons": {}},
    {"id": "b", "pesq": 1.5, "csig": math.nan, "si_sdr": math.nan, "reasons": {}},
]


def as_file(rows):
    """What write_scores puts into a JSON file."""
    summary = summarize(rows)
    for entry in summary.values():
        entry["mean"] = entry["mean"] if entry["n_scored"] else None
    return summary | {"composite_variant": "cmgan"}


def test_the_table_of_files_is_the_table_of_rows():
    table = score_table({"noisy": as_file(ROWS), "enhanced": as_file(ROWS[:1])})
    assert table == format_table({"noisy": ROWS, "enhanced": ROWS[:1]}, "cmgan")


def test_a_metric_of_one_system_only_is_not_made_up_for_the_other():
    systems = {"noisy": as_file([{"pesq": 1.0}]), "enhanced": as_file([{"stoi": 0.5}])}
    assert score_table(systems).count("not asked for") == 2


def test_what_else_a_score_file_holds_is_no_row_of_the_table(tmp_path):
    write_scores(ROWS, None, tmp_path / "s.json", None, "cmgan", ROWS, {"metrics": []})
    content = json.loads((tmp_path / "s.json").read_text())
    assert content.keys() >= {"noisy", "settings"}
    assert score_table({"x": content}) == format_table({"x": ROWS}, "cmgan")


def test_scales_that_differ_are_both_named():
    loizou = as_file(ROWS) | {"composite_variant": "loizou"}
    table = score_table({"noisy": loizou, "enhanced": as_file(ROWS)})
    assert "csig (loizou and cmgan)" in table


def test_each_kind_of_model_has_its_own_use_and_limits():
    facts = RunFacts("MPSENet", {}, 7, 16000, "", "ema.ckpt", {}, "pesq", {})
    cards = {
        "Enhancer": model_card(facts),
        "Separator": model_card(facts._replace(separates=True)),
        "FlowEnhancer": model_card(facts._replace(sample_rate=None)),
    }
    for name, card in cards.items():
        assert f"import {name}\n" in card and f"= {name}.from_pretrained" in card
        assert "may come out worse" in card
        assert ("works at 16000 Hz" in card) == (name != "FlowEnhancer")
        assert ("any sampling rate" in card) == (name == "FlowEnhancer")


def test_the_last_epoch_is_named_as_what_it_was_chosen_by():
    meta = {"epoch": 18}
    card = model_card(
        RunFacts("MPSENet", {}, 7, 16000, "", "ema.ckpt", meta, "epoch", {})
    )
    assert "chosen by: epoch 18\n" in card


def test_what_is_not_known_says_so():
    facts = RunFacts("MPSENet", {}, 7, 16000, "", "generator.ckpt", {}, "pesq", {})
    card = model_card(facts)
    assert "command: not known" in card
    assert "epoch: not known" in card
    assert "chosen by: none" in card
    assert "The run was not tested." in card
    assert "EMA" not in card
