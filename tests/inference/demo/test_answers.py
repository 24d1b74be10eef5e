import tempfile

import pytest

from sesame.inference.demo.answers import Limits, answer_request

gradio = pytest.importorskip("gradio")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary folders go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _ignore(fraction, step):
    pass


def test_progress_is_passed_on():
    told = []
    with answer_request(gradio, 60.0, lambda *event: told.append(event)) as (_, report):
        report(0.5, "halfway")
    assert told == [(0.5, "halfway")]


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_no_file_outlives_a_request(temporary, error):
    with pytest.raises((gradio.Error, RuntimeError)):
        with answer_request(gradio, 60.0, _ignore) as (folder, _):
            (folder / "a.wav").write_bytes(b"something")
            assert list(temporary.iterdir()) == [folder]
            raise error("no")
    assert not list(temporary.iterdir())


def test_a_mistake_of_the_visitor_is_one_line():
    with pytest.raises(gradio.Error, match=r"^'the upload is too long'$") as caught:
        with answer_request(gradio, 60.0, _ignore):
            raise ValueError("the upload is too long")
    assert caught.value.print_exception is False


def test_a_mistake_of_ours_is_not_told_to_visitors():
    with pytest.raises(RuntimeError, match="a bug"):
        with answer_request(gradio, 60.0, _ignore):
            raise RuntimeError("a bug")


def test_a_report_ends_a_request_whose_time_is_over():
    told = []
    with pytest.raises(gradio.Error, match="longer than the 1e-06 s"):
        with answer_request(gradio, 1e-6, lambda *event: told.append(event)) as (_, r):
            r(0.0, "reading")
    assert not told


def test_limits_are_told():
    text = Limits(max_seconds=7.5, budget_seconds=1.0).describe()
    assert "up to 7.5 s" in text
    assert "\n" not in text
