from pathlib import Path

import pytest

from sesame.inference.demo.enhance_parts import (
    EnhanceResults,
    add_strength,
    attenuation_limit,
)
from sesame.inference.demo.processing import Enhanced
from sesame.inference.figures import new_figure

gradio = pytest.importorskip("gradio")


@pytest.fixture
def page(folder):
    with gradio.Blocks(analytics_enabled=False) as page:
        yield page


@pytest.fixture
def result(noisy):
    other = noisy.with_name("a_enhanced.wav")
    other.write_bytes(noisy.read_bytes())
    return Enhanced(noisy, other, new_figure(2, 1), None, "", 16000)


def test_only_the_end_of_the_slider_is_no_limit(page):
    attenuation, _ = add_strength(gradio)
    values = range(attenuation.minimum, attenuation.maximum + 1)
    limits = [attenuation_limit(value) for value in values]
    assert limits == [*values[:-1], None]
    assert attenuation.value == attenuation.maximum


def test_sliders_change_nothing_unless_moved(page):
    attenuation, dry = add_strength(gradio)
    assert attenuation_limit(attenuation.value) is None
    assert dry.value == 0


def test_there_is_a_value_for_each_component(page, result):
    results = EnhanceResults(gradio)
    values = results.show(result)
    assert len(values) == len(results.components)
    assert values[2].value["path"] == values[1]
    assert values[2].interactive


def test_results_outlive_the_files_they_came_from(page, result, folder):
    noisy, enhanced, *_ = EnhanceResults(gradio).show(result)
    content = result.noisy.read_bytes()
    result.noisy.unlink()
    result.enhanced.unlink()
    for path, name in ((noisy, "a.wav"), (enhanced, "a_enhanced.wav")):
        assert path.startswith(str(folder / "cache")) and Path(path).name == name
        assert Path(path).read_bytes() == content


@pytest.mark.parametrize(
    "scores, shown", [("", "Add a clean reference to see scores."), ("| x |", "| x |")]
)
def test_without_scores_it_says_how_to_get_them(page, result, scores, shown):
    values = EnhanceResults(gradio).show(result._replace(scores=scores))
    assert values[3] == shown
