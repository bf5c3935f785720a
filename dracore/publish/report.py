"""What is published and what is not, kept for who asks and told once to who listens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from dracore.publish.state import PoolState
from dracore.publish.status import Published, PublishObserver, PublishStatus
from dracore.publish.writer import SliceWriter

_log = logging.getLogger(__name__)


class Report:
    """The status of all pools. :meth:`tell` belongs to the worker, :meth:`status` to everybody."""

    def __init__(self, driver: str, writer: SliceWriter, observer: PublishObserver) -> None:
        self._driver = driver
        self._writer = writer
        self._observer = observer
        self._lock = threading.Lock()
        self._status = PublishStatus()

    def status(self) -> PublishStatus:
        """As of the last :meth:`tell`."""
        with self._lock:
            return self._status

    def tell(self, states: Mapping[str, PoolState]) -> None:
        """Makes the status anew and tells the observer what is new in it."""
        texts: dict[str, None] = {}
        for name, state in sorted(states.items()):
            texts.update(dict.fromkeys(state.texts))
            if state.desired is not None:
                texts.update(dict.fromkeys(self._writer.adopted_texts(name, state.desired.specs)))
            if state.problem:
                texts[state.problem] = None
        with self._lock:
            before = self._status.degradations
            self._status = PublishStatus(_published(states), tuple(texts))
        for text in texts:
            if text not in before:
                _log.warning("%s: %s", self._driver, text)
                self._observer.degraded(text)
        for text in before:
            if text not in texts:
                self._observer.recovered(text)


def _published(states: Mapping[str, PoolState]) -> Published | None:
    """The last publish; None until every pool that can stand on the server has come to stand there."""
    wanted = [(state, state.desired) for state in states.values() if state.desired is not None]
    times = [state.published for state, _ in wanted if state.published is not None]
    if not times or len(times) < len(wanted):
        return None
    generation = max(state.generation for state, _ in wanted)
    return Published(max(times), generation, sum(len(desired.specs) for _, desired in wanted))
