"""Scenarios: claims, and what the kubelet, the host and fate do with them, step by step. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dracore.model.device import JSON


@dataclass(frozen=True)
class Ask:
    """One claim as the scheduler allocated it.

    :param devices: names of devices as the plugin discovers them.
    :param parameters: opaque parameters from the claim, ``apiVersion`` and ``kind`` included.
    :param name: the claim's; default: one of its own.
    :param reserved: whether a pod is in ``status.reservedFor``.
    """

    devices: tuple[str, ...]
    parameters: JSON = None
    admin: bool = False
    share: str = ""
    name: str = ""
    reserved: bool = True


@dataclass(frozen=True)
class Prepare:
    """The kubelet calls NodePrepareResources; `seconds` until its deadline (of which 5 are never waited).

    :param comes: a flag that comes about as soon as it waits.
    :param refused: without a fault the answer is an error; otherwise it is none.
    """

    claim: str
    seconds: float = 30.0
    comes: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Late:
    """A prepare whose caller has gone: it gets the claim's lock when nobody waits for it any more, or, with
    `waiting`, its caller goes while it waits, and then what it waits for comes about."""

    claim: str
    waiting: bool = False


@dataclass(frozen=True)
class Unprepare:
    """The kubelet calls NodeUnprepareResources.

    :param refused: without a fault the answer is an error; otherwise it is none.
    """

    claim: str
    refused: bool = False


@dataclass(frozen=True)
class Reallocate:
    """The claim of this uid is allocated anew."""

    claim: str
    to: Ask


@dataclass(frozen=True)
class Delete:
    """The claim is deleted from the API server; the kubelet does not say so."""

    claim: str


@dataclass(frozen=True)
class Recreate:
    """The claim `old` is deleted, and another is created under its name, with the uid `claim`."""

    claim: str
    old: str
    to: Ask


@dataclass(frozen=True)
class Containers:
    """Containers run with the claim, or have ended: the kubelet's PodResources lists it, or does not."""

    claim: str
    run: bool = True


@dataclass(frozen=True)
class Outage:
    """The API server does not answer, or the kubelet's PodResources; `over` ends it."""

    of: Literal["api", "kubelet"]
    over: bool = False


@dataclass(frozen=True)
class Set:
    """Something that a hook waits for comes about."""

    flag: str


@dataclass(frozen=True)
class Fail:
    """The hardware refuses the next `times` steps of that sort on one thing (needs a Ground that can)."""

    step: str
    name: str
    times: int = 1


@dataclass(frozen=True)
class Destroy:
    """An administrator undoes something behind the driver's back (needs a Ground that can)."""

    name: str


@dataclass(frozen=True)
class Drain:
    """The reconciler finishes what is left."""


@dataclass(frozen=True)
class Reconcile:
    """The reconciler looks twice, 90 s apart."""


@dataclass(frozen=True)
class Look:
    """The reconciler looks once, `after` so many seconds."""

    after: float = 90.0


@dataclass(frozen=True)
class TurnClock:
    """Somebody sets the node's clock; the time since boot goes on."""

    by: float


@dataclass(frozen=True)
class Restart:
    """The process ends well and another begins; with `boot`, after a reboot of the node: no container runs,
    and the CDI folder, in memory, is empty.

    :param minor: how many MINOR steps the journal's schema is ahead in the one that begins.
    """

    boot: bool = False
    minor: int = 0


@dataclass(frozen=True)
class Handover:
    """Another instance starts while this one runs; steps go to the new one, `back` to the old one. `end`
    stops the older.

    :param minor: how many MINOR steps the journal's schema is ahead in the one that starts.
    """

    end: bool = False
    back: bool = False
    minor: int = 0


Step: TypeAlias = (
    Prepare
    | Late
    | Unprepare
    | Reallocate
    | Delete
    | Recreate
    | Containers
    | Outage
    | Set
    | Fail
    | Destroy
    | Drain
    | Reconcile
    | Look
    | TurnClock
    | Restart
    | Handover
)


@dataclass(frozen=True)
class Scenario:
    """One story. Every point that the engine passes in it becomes a place to die and to fail.

    :param claims: by uid; they are on the API server from the beginning.
    """

    name: str
    claims: dict[str, Ask] = field(hash=False)
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return self.name


def standard(device: str, *more: str, parameters: JSON = None) -> tuple[Scenario, ...]:
    """The stories that every plugin should survive, on devices of these names (one is enough).

    :param parameters: opaque parameters of every claim.
    """
    first = Ask((device,), parameters)
    found = [
        Scenario(
            "prepare, prepare again, unprepare",
            {"c1": first},
            (Prepare("c1"), Prepare("c1"), Unprepare("c1"), Unprepare("c1")),
        ),
        Scenario(
            "prepare, restart, reboot, prepare, unprepare",
            {"c1": first},
            (Prepare("c1"), Restart(), Prepare("c1"), Restart(boot=True), Prepare("c1"), Unprepare("c1")),
        ),
    ]
    if more:
        every = Ask((device, *more), parameters)
        second = Ask((more[0],), parameters)
        found += [
            Scenario("all devices in one claim", {"c1": every}, (Prepare("c1"), Unprepare("c1"))),
            Scenario(
                "two claims side by side",
                {"c1": first, "c2": second},
                (Prepare("c1"), Prepare("c2"), Unprepare("c1"), Unprepare("c2")),
            ),
        ]
    return tuple(found)
