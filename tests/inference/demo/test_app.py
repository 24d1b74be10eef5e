import sys
from pathlib import Path

import pytest

from sesame.inference import FlowEnhancer
from sesame.inference.cli import common
from sesame.inference.demo import app as demo
from sesame.inference.demo import build_app, launch

gradio = pytest.importorskip("gradio")


def _labels(app, kind):
    return [b.label for b in app.blocks.values() if isinstance(b, kind)]


def test_the_page_keeps_nothing_and_computes_one_request_at_a_time(enhancer, separator):
    app = build_app(enhancer, separator=separator)
    assert not app.analytics_enabled
    assert app.delete_cache == (3600, 3600)
    assert app._queue.max_size == 16
    assert app._queue.default_concurrency_limit == 1
    buttons = [f for f in app.fns.values() if f.api_name in ("enhance", "separate")]
    assert [button.concurrency_limit for button in buttons] == [1, 1]
    # One queue of both tabs.
    assert len({button.concurrency_id for button in buttons}) == 1
    assert not [b for b in app.blocks.values() if isinstance(b, gradio.State)]


def test_a_separator_has_a_tab_of_its_own(enhancer, separator):
    app = build_app(enhancer, separator=separator, separator_name="tiny")
    assert _labels(app, gradio.Tab) == ["Enhance", "Separate"]
    texts = [b.value for b in app.blocks.values() if isinstance(b, gradio.Markdown)]
    assert "Model: tiny." in " ".join(filter(None, texts))


def test_without_a_separator_there_are_no_tabs(enhancer):
    app = build_app(enhancer)
    assert not _labels(app, gradio.Tab)
    assert {f.api_name for f in app.fns.values()} == {"enhance"}


def test_a_seflow_has_its_inputs_and_its_sizes(flow_network, separator):
    app = build_app(FlowEnhancer(flow_network, "cpu"), separator=separator)
    assert {f.api_name for f in app.fns.values()} == {"enhance", "separate", "size"}
    buttons = [f for f in app.fns.values() if f.api_name in ("enhance", "separate")]
    assert len({button.concurrency_id for button in buttons}) == 1
    labels = _labels(app, gradio.Audio)
    assert "Voice to extract, if there is one" in labels
    assert "Far end (loudspeaker), if there is one" in labels
    assert "Size, from the fastest to the largest" in _labels(app, gradio.Slider)
    assert not [b for b in app.blocks.values() if isinstance(b, gradio.State)]


def test_other_models_have_none_of_it(enhancer):
    app = build_app(enhancer)
    assert _labels(app, gradio.Audio) == [
        "Noisy speech",
        "Clean reference, if there is one",
        "Noisy",
        "Enhanced",
    ]
    assert len(_labels(app, gradio.Slider)) == 2


def test_a_folder_of_a_seflow_is_served(tiny_flow, tiny_model, monkeypatch):
    built = []

    def build(enhancer, examples, **options):
        built.append((type(enhancer).__name__, options["model_name"]))
        raise ValueError("stop here")

    monkeypatch.setattr(demo, "build_app", build)
    for folder in (tiny_flow, tiny_model):
        with pytest.raises(ValueError, match="stop here"):
            launch(folder, device="cpu")
    assert built == [("FlowEnhancer", "tiny-flow"), ("Enhancer", "tiny-model")]


def test_the_server_is_closed_by_default(tiny_model, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        gradio.Blocks, "launch", lambda app, **given: kept.update(given)
    )
    launch(tiny_model, device="cpu")
    assert (kept["server_name"], kept["server_port"]) == ("127.0.0.1", 7860)
    assert kept["max_file_size"] == "50mb"
    for option in ("share", "show_error", "ssr_mode", "mcp_server", "run_history"):
        assert kept[option] is False
    assert not {"allowed_paths", "auth", "root_path"} & set(kept)


def test_the_shipped_model_is_the_default(monkeypatch):
    loaded = []

    def load(model, device):
        loaded.append(model)
        raise ValueError("stop here")

    monkeypatch.setattr(demo.Enhancer, "from_pretrained", load)
    with pytest.raises(ValueError, match="stop here"):
        launch()
    assert Path(loaded[0]).name == "sesame-small"


@pytest.fixture
def built(tiny_model, monkeypatch):
    """Options of the page that ``launch`` builds, beside those of the enhancer."""
    kept = {}

    def build(enhancer, examples, **options):
        kept.update(options)
        raise ValueError("stop here")

    def run(**options):
        with pytest.raises(ValueError, match="stop here"):
            launch(tiny_model, device="cpu", **options)
        return kept

    monkeypatch.setattr(demo, "build_app", build)
    return run


def test_the_separator_that_is_asked_for_is_shown(built, tiny_separator):
    options = built(separator=tiny_separator)
    assert options["separator"].num_sources == 2
    assert options["separator_name"] == "tiny-separator"


@pytest.mark.parametrize("shipped", [True, False])
def test_the_shipped_separator_is_the_default(
    built, tiny_separator, tmp_path, monkeypatch, shipped
):
    monkeypatch.setattr(common, "DEFAULT_SEPARATOR", tmp_path / "tf-moe-small")
    if shipped:
        (tmp_path / "tf-moe-small").symlink_to(tiny_separator)
    assert built().get("separator_name") == ("tf-moe-small" if shipped else None)


@pytest.mark.parametrize("shipped", [True, False])
def test_the_shipped_seflow_has_a_tab_of_its_own(
    built, tiny_flow, tmp_path, monkeypatch, shipped
):
    monkeypatch.setattr(common, "DEFAULT_FLOW", tmp_path / "seflow-small")
    if shipped:
        (tmp_path / "seflow-small").symlink_to(tiny_flow)
    assert built().get("flow_name") == ("seflow-small" if shipped else None)
    assert built(flow=tiny_flow)["flow_name"] == "tiny-flow"


def test_a_seflow_beside_an_enhancer_shares_no_name_with_it(enhancer, flow_network):
    app = build_app(enhancer, flow=FlowEnhancer(flow_network, "cpu"))
    names = {f.api_name for f in app.fns.values()}
    assert names == {"enhance", "flow-enhance", "size"}
    ids = [b.elem_id for b in app.blocks.values() if getattr(b, "elem_id", None)]
    assert len(ids) == len(set(ids))


def test_an_enhancer_is_no_separator(tiny_model):
    with pytest.raises(ValueError, match="tiny-model"):
        launch(tiny_model, device="cpu", separator=tiny_model)


@pytest.mark.parametrize("missing", ["gradio", "matplotlib"])
def test_a_missing_package_is_named_with_its_remedy(enhancer, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install '\.\[demo\]'"):
        build_app(enhancer)


@pytest.mark.parametrize("limit", ["max_seconds", "budget_seconds"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_limits_must_be_positive(enhancer, limit, value):
    with pytest.raises(ValueError, match="must be positive"):
        build_app(enhancer, **{limit: value})


def test_bundled_examples_are_pairs_that_exist():
    examples = demo._bundled_examples()
    assert examples
    for noisy, clean in examples:
        assert noisy != clean
        assert noisy.name == clean.name
        assert clean.is_file()


def test_a_taken_port_is_an_error(server, tiny_model):
    with pytest.raises(OSError, match=str(server.port)):
        launch(tiny_model, device="cpu", port=server.port)


def test_ctrl_c_stops_the_server_and_clears_its_cache(own_server):
    path = own_server.upload("a.wav", b"something").json()[0]
    assert own_server.status(f"/gradio_api/file={path}") == 200
    own_server.stop()
    assert own_server.process.returncode == 0
    assert not list(own_server.cache.rglob("a.wav"))
