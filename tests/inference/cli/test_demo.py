import sesame.inference.demo as web
from sesame.inference.cli import common


def test_the_demo_is_launched_with_the_options(monkeypatch, call):
    calls = []
    monkeypatch.setattr(web, "launch", lambda *options: calls.append(options))
    assert call("demo") == 0
    assert call("demo", "--model", "m", "--port", "99", "--host", "::1") == 0
    assert calls == [
        (str(common.DEFAULT_MODEL), "auto", 7860, "127.0.0.1", None, None),
        ("m", "auto", 99, "::1", None, None),
    ]
    assert call("demo", "--device", "cpu") == 0 and calls[-1][1] == "cpu"
    assert call("demo", "--separator", "s") == 0 and calls[-1][4] == "s"
    assert call("demo", "--seflow", "f") == 0 and calls[-1][5] == "f"


def test_ctrl_c_ends_the_demo_with_130(monkeypatch, call):
    def interrupted(*options):
        raise KeyboardInterrupt

    monkeypatch.setattr(web, "launch", interrupted)
    assert call("demo") == 130
