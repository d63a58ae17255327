"""The numbers of a run for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stn_rectify.runtime.process.board import UNDER_VOLTAGE
from stn_rectify.runtime.web.live_state import LiveState

_BUCKETS_MS = (1, 2.5, 5, 10, 20, 33, 50, 66, 100, 200, 500, 1000, 5000)


def metrics_registry(state: LiveState) -> CollectorRegistry:
    """A registry of this run alone; it asks the run's own counters, so a frame costs nothing more."""
    registry = CollectorRegistry()
    registry.register(_RunCollector(state))
    return registry


class _RunCollector(Collector):
    def __init__(self, state: LiveState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        counts, newest = self._state.counts(), self._state.newest
        for name, text, value in (
            ("frames", "Frames that were rectified", counts.frames),
            ("dropped", "Frames that the source dropped for newer ones", self._state.dropped),
            ("misses", "Frames without a target", counts.misses),
            ("failed", "Frames that could not be read or rectified", counts.failed),
            ("reconnections", "Times that the source was opened again", self._state.reconnections),
        ):
            yield CounterMetricFamily(f"stn_rectify_{name}", text, value=value)
        unwritten = CounterMetricFamily(
            "stn_rectify_results_unwritten", "Results that an output has not written", labels=["output"]
        )
        for name, value in self._state.unwritten.items():
            unwritten.add_metric([name], value)
        yield unwritten
        for name, text, gauge in (
            ("outputs_failing", "Outputs that cannot be written to at this moment", self._state.failing_outputs),
            ("frozen_seconds", "How long a live picture has stayed the same, once that is long", self._state.frozen_s),
        ):
            yield GaugeMetricFamily(f"stn_rectify_{name}", text, value=gauge)
        certificate = self._state.certificate
        if certificate is not None and certificate.ends_s is not None:
            yield GaugeMetricFamily(
                "stn_rectify_certificate_expiry_timestamp_seconds",
                "Until when the certificate of --tls-cert is valid",
                value=certificate.ends_s,
            )
        buckets = [(str(edge / 1000), float(counts.up_to(edge))) for edge in _BUCKETS_MS]
        yield HistogramMetricFamily(
            "stn_rectify_latency_seconds",
            "What rectifying a frame took",
            buckets=[*buckets, ("+Inf", counts.frames)],
            sum_value=counts.latency_sum_ms / 1000,
        )
        machine = self._state.machine.newest()
        if machine is not None:
            throttling = machine.throttling
            now = None if throttling is None else int(bool(throttling.now))
            weak = None if throttling is None else int(UNDER_VOLTAGE in throttling.now)
            for name, text, number in (
                ("processor_temperature_celsius", "Temperature of the processor", machine.temperature_c),
                ("throttled", "Whether the Raspberry Pi is slowed down at this moment", now),
                ("under_voltage", "Whether its power supply is too weak at this moment", weak),
                ("disk_free_bytes", "Room on the disk of --save, or of the run's folder", machine.disk_free_bytes),
            ):
                if number is not None:
                    yield GaugeMetricFamily(f"stn_rectify_{name}", text, value=number)
        if newest is not None:
            yield GaugeMetricFamily("stn_rectify_score", "Score of the newest frame", value=newest[1].result.score)
            yield GaugeMetricFamily("stn_rectify_targets", "Targets of the newest frame", value=len(newest[1].targets))
