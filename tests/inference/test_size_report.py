"""What is told of a sub-network is what there is."""

import pytest

from sesame.inference.flow_sizes import flow_sizes
from sesame.inference.size_report import report_size
from sesame.models.seflow import SEFlow


def test_every_size_is_counted_as_the_network_that_is_cut_out(flow_network):
    for size in flow_sizes(flow_network):
        report = report_size(flow_network, 16000, float(size.width), size.depth)
        part = flow_network.subnet(float(size.width), size.depth)
        assert (report.width, report.depth) == (float(size.width), size.depth)
        assert report.parameters == sum(p.numel() for p in part.parameters())
        assert report.gmacs * 1e9 == pytest.approx(part.macs_per_second(16000))


def test_without_a_size_it_is_the_whole_network(flow_network):
    report = report_size(flow_network, 8000)
    assert (report.width, report.depth) == (1.0, flow_network.depth)
    assert report.parameters == sum(p.numel() for p in flow_network.parameters()) - (
        # Exits of their own, which the network as a whole does not use.
        (flow_network.depth - 1) * flow_network.width
    )


@pytest.mark.parametrize(("rate", "native"), [(22050, 22100), (96000, 48000)])
def test_operations_are_those_at_the_rate_at_which_it_runs(flow_network, rate, native):
    report, expected = (
        report_size(flow_network, rate),
        report_size(flow_network, native),
    )
    assert report.gmacs == expected.gmacs
    assert report.sample_rate == rate


def test_a_voice_costs_something(flow_network):
    voiced = report_size(flow_network, 16000, 0.5, 2, enrolled=True)
    tokens = flow_network.num_tokens
    macs = flow_network.macs_per_second(16000, 0.5, 2, tokens)
    assert voiced.gmacs == pytest.approx(macs / 1e9)
    assert voiced.gmacs > report_size(flow_network, 16000, 0.5, 2).gmacs


def test_a_cut_out_network_is_told_as_itself(flow_network):
    part = flow_network.subnet(0.75, 2)
    report = report_size(part, 16000)
    assert report[1:] == (1.0, 2, *report_size(flow_network, 16000, 0.75, 2)[3:])


def test_it_is_written_as_fractions_and_with_groups_of_digits():
    text = str(report_size(SEFlow(), 48000, 0.375, 6))
    assert text == (
        "width 3/8, depth 6: 1 253 734 parameters, 4.378 GMAC/s at 48000 Hz"
    )


def test_small_costs_keep_their_digits(flow_network):
    text = str(report_size(flow_network, 8000, 0.25, 1)._replace(gmacs=0.00123456))
    assert text.endswith(" 0.001235 GMAC/s at 8000 Hz")


def test_a_size_that_there_is_not_is_refused(flow_network):
    with pytest.raises(ValueError, match=r"width \(0.3\) must be a multiple of 1/4"):
        report_size(flow_network, 16000, 0.3)
