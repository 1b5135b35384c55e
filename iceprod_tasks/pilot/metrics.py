"""What a pilot counts, as Prometheus reads it."""

import logging
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

log = logging.getLogger(__name__)

_SECONDS = (0.1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600)


class Metrics:
    """The numbers of one pilot.

    Args:
        slots: that it has.
    """

    def __init__(self, slots: int) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f'iceprod_pilot_{name}', text, registry=self.registry)

        gauge('slots', 'Slots of this pilot.').set(slots)
        self.running = gauge('running_tasks', 'Tasks in work.')
        self.draining = gauge('draining', 'Whether it takes no more tasks.')
        self.memory_gb = gauge('memory_gb', 'Memory that tasks use, in units of 10^9 bytes.')
        self.quick_failures = gauge('quick_failures', 'Tasks that failed quickly since the last success.')
        self.ended = Counter(
            'iceprod_pilot_ended_tasks', 'Tasks that were reported or dropped.', ['outcome'], registry=self.registry
        )
        self.seconds = Histogram(
            'iceprod_pilot_task_seconds', 'From the claim to the report.', registry=self.registry, buckets=_SECONDS
        )

    def serve(self, port: int) -> WSGIServer:
        """Answer on a port of 127.0.0.1, in a thread.

        Args:
            port: 0 for any that is free.

        Returns:
            The server; its `server_port` is where it answers.

        Raises:
            OSError: the port cannot be had.
        """
        server, _ = start_http_server(port, addr='127.0.0.1', registry=self.registry)
        log.info('metrics on http://127.0.0.1:%d/metrics', server.server_port)
        return server
