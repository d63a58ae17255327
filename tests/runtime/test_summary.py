from __future__ import annotations

import time

import numpy as np
import pytest

from stn_rectify.runtime import MissRule, Rectification
from stn_rectify.runtime.summary import RunSummary


def result(latency_ms: float, score: float = 1.0) -> Rectification:
    return Rectification(np.zeros((1, 1), np.uint8), np.zeros((4, 2)), np.eye(3), score, latency_ms)


@pytest.mark.parametrize("percentile", [1, 50, 99, 100])
def test_percentiles_are_right_to_one_percent(percentile: float) -> None:
    latencies = np.random.default_rng(0).lognormal(2, 1, 5000)
    summary = RunSummary()
    for latency in latencies:
        summary.add(result(latency))
    expected = np.percentile(latencies, percentile, method="inverted_cdf")
    assert summary.latency_ms(percentile) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("latency", [0.0, 1e-9, 1e12])
def test_extreme_latencies_are_counted(latency: float) -> None:
    summary = RunSummary()
    summary.add(result(latency))
    assert summary.latency_ms(50) > 0


def test_the_closing_line() -> None:
    summary = RunSummary()
    for score in (0.9, 0.8, 0.1, 0.7):
        summary.add(result(6.1, score))
    summary.dropped, summary.failed, summary.reconnections = 12, 1, 2
    text = str(summary)
    assert text.startswith(
        "4 frames in 0.0 s, 12 dropped, 1 failed, source opened again 2× · latency p50 6.1 ms, p99 6.1 ms · "
    )
    assert text.endswith("target found in 75 %")
    summary.not_begun = 1
    assert ", 1 failed, stopped before 1 more file, " in str(summary)
    summary.not_begun = 37
    assert ", stopped before 37 more files, " in str(summary)


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        pytest.param(MissRule(0.75), "target found in 50 %, 2 frames without one passed on unrectified", id="pass"),
        pytest.param(MissRule(0.1, "skip"), "target found in 75 %, 1 frame without one skipped", id="skip"),
        pytest.param(MissRule(None, "skip"), "target found in 50 %, 1 frame without one skipped", id="no threshold"),
    ],
)
def test_misses_are_counted_where_there_is_a_rule(rule: MissRule, end: str) -> None:
    summary = RunSummary(rule)
    for score in (0.9, 0.0, 0.3, 0.8):
        summary.add(result(6.1, score))
    assert str(summary).endswith(f" · {end}")


def test_time_after_the_end_does_not_count() -> None:
    summary = RunSummary()
    summary.add(result(1.0))
    summary.end()
    line, elapsed_s = str(summary), summary.counts().elapsed_s
    time.sleep(0.2)
    assert (str(summary), summary.counts().elapsed_s) == (line, elapsed_s)


def test_no_frames() -> None:
    assert str(RunSummary()) == "0 frames in 0.0 s, 0 dropped"


def test_counts_of_one_moment() -> None:
    summary = RunSummary(MissRule(0.5))
    for latency, score in ((2.0, 0.9), (4.0, 0.2), (8.0, 0.8)):
        summary.add(result(latency, score))
    before = summary.counts()
    assert (before.frames, before.misses, before.found) == (3, 1, 2)
    assert before.latency_sum_ms == pytest.approx(14.0)
    assert [before.up_to(latency) for latency in (1, 2, 4.1, 7, 9)] == [0, 1, 2, 2, 3]
    assert before.frames_per_s > 0
    summary.add(result(100.0))
    after = summary.counts()
    assert (before.frames, before.up_to(1000), after.frames) == (3, 3, 4)
    assert after.latencies_since(before).latency_ms(1) == pytest.approx(100, rel=0.01)


def test_the_rate_of_no_frame_and_of_one_is_zero() -> None:
    summary = RunSummary()
    assert summary.counts().frames_per_s == 0
    summary.add(result(1.0))
    assert summary.counts().frames_per_s == 0


def test_targets_are_counted_where_several_are_looked_for_by_the_rule_of_the_moment() -> None:
    summary = RunSummary()
    for score, targets in ((0.9, 3), (0.35, 1), (0.2, 0)):
        summary.add(result(6.1, score), targets=targets, rule=MissRule(0.3))
    end = "target found in 67 %, 1.33 targets a frame, 1 frame without one passed on"
    assert str(summary).endswith(f" · {end}")
    assert summary.counts().targets == 4
    summary.add(result(6.1, 0.35), targets=0, rule=MissRule(0.5))  # another model, another lowest score
    assert (summary.counts().found, summary.counts().misses) == (2, 2)
