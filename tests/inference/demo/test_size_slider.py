import pytest

from sesame.inference.demo.size_slider import SizeSlider
from sesame.inference.flow_sizes import flow_sizes
from sesame.inference.size_report import report_size
from sesame.models.seflow import SEFlow

gradio = pytest.importorskip("gradio")


@pytest.fixture
def build(folder):
    def make(network):
        with gradio.Blocks(analytics_enabled=False) as page:
            return SizeSlider(gradio, network), page

    return make


def test_each_position_is_another_size_and_costs_no_less(build, flow_network):
    size, _ = build(flow_network)
    numbers = range(1, size.slider.maximum + 1)
    chosen = [size.chosen(number) for number in numbers]
    assert sorted(chosen) == sorted(flow_sizes(flow_network))
    costs = [each.gmacs(flow_network, 16000) for each in chosen]
    assert costs == sorted(costs)


def test_it_begins_with_the_whole_network(build, flow_network):
    size, page = build(flow_network)
    assert size.chosen(size.slider.value) == (1, flow_network.depth)
    texts = [b.value for b in page.blocks.values() if isinstance(b, gradio.Markdown)]
    assert texts == [size.describe(size.slider.value)]


def test_moving_it_tells_parameters_and_operations(build, flow_network, handler):
    size, page = build(flow_network)
    describe = handler(page, "size")
    for number in (1, 5, size.slider.maximum):
        width, depth = size.chosen(number)
        report = report_size(flow_network, 16000, float(width), depth)
        assert describe(number) == f"Size {number} of 12: {report}."


def test_a_voice_and_the_rate_are_told(build, flow_network):
    size, _ = build(flow_network)
    told = {
        size.describe(3, rate, enrolled)
        for rate in (8000, 48000)
        for enrolled in (False, True)
    }
    assert len(told) == 4


@pytest.mark.parametrize("number", [0, 13, -1, 1.5, float("nan"), "1", None])
def test_what_is_no_position_is_refused_in_one_line(
    build, flow_network, handler, number
):
    size, page = build(flow_network)
    with pytest.raises(ValueError, match="must be a whole number from 1 to 12"):
        size.chosen(number)
    with pytest.raises(gradio.Error, match="must be a whole number from 1 to 12"):
        handler(page, "size")(number)


def test_a_network_of_one_size_has_no_choice(build):
    network = SEFlow(width=4, depth=2, head_channels=4, early_exits=False)
    size, _ = build(network)
    assert size.slider.visible is False
    assert size.chosen(size.slider.value) == (1, 2)
    with pytest.raises(ValueError, match="from 1 to 1"):
        size.chosen(2)


def test_moving_it_waits_for_no_request(build, flow_network):
    _, page = build(flow_network)
    (event,) = page.fns.values()
    assert event.queue is False
