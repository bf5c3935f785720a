"""What a publisher says about itself, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Published:
    """The last time that the server held what we want: when, at which generation, in how many slices."""

    time: datetime
    generation: int
    slices: int


@dataclass(frozen=True)
class PublishStatus:
    """`published` is None until every pool stands on the server for the first time.

    :param degradations: what is not published as discovered, one text a cause.
    """

    published: Published | None = None
    degradations: tuple[str, ...] = ()


class PublishObserver:
    """Is told what happens, on the publisher's thread; override what you need (metrics, events, logs)."""

    def wrote(self, verb: str) -> None:
        """One slice was created, updated or deleted."""

    def published(self, pool: str, generation: int, slices: int) -> None:
        """The pool stands on the server as it should, after a change."""

    def degraded(self, text: str) -> None:
        """Something is not published as discovered; told once a text."""

    def recovered(self, text: str) -> None:
        """A degradation is over."""

    def failed(self, pool: str, error: str, delay: float) -> None:
        """An attempt failed; the next one comes in `delay` seconds."""

    def repaired(self, pool: str, writes: int) -> None:
        """Somebody else had changed or deleted our slices; they are put right."""
