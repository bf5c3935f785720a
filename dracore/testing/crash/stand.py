"""One process of a driver in a run: the real engine, journal and CDI writer over a plugin and its ground."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog

from dracore.cdi import Cdi
from dracore.config.opaque import Opaque
from dracore.errors import DracoreError, PluginError
from dracore.model.claim import Claim
from dracore.model.context import Simulation
from dracore.model.device import Device
from dracore.model.effect import Effect
from dracore.plugins import Plugins
from dracore.prepare import Engine, Journal, Reconciler, schema
from dracore.prepare.ports import Group, Resolved
from dracore.testing.crash.cluster import POOL, Cluster
from dracore.testing.crash.double import Ground, NodeDouble
from dracore.testing.crash.looks import Looks
from dracore.testing.crash.points import Points

STARTS = 3
"""How often a start that a fault ended is tried again, as the kubelet restarts a container."""


@dataclass(frozen=True)
class Code:
    """Where a module or something in it is found, so that another process finds it too."""

    module: str
    file: str
    name: str = ""

    @classmethod
    def of(cls, thing: Any) -> Code:
        """Of a module, a class or a module's name."""
        if isinstance(thing, str):
            return cls(thing, "")
        if isinstance(thing, type):
            module = sys.modules[thing.__module__]
            return cls(module.__name__, str(getattr(module, "__file__", "") or ""), thing.__qualname__)
        return cls(thing.__name__, str(getattr(thing, "__file__", "") or ""))

    def load(self) -> Any:
        module = sys.modules.get(self.module)
        if module is None:
            try:
                module = importlib.import_module(self.module)
            except ImportError:
                if not self.file:
                    raise
                spec = importlib.util.spec_from_file_location(self.module, self.file)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[self.module] = module
                spec.loader.exec_module(module)
        found: Any = module
        for part in filter(None, self.name.split(".")):
            found = getattr(found, part)
        return found


@dataclass(frozen=True)
class Subject:
    """What is tried: one plugin (with the name it is enabled by) on its ground."""

    plugin: str
    code: Code
    ground: Code
    driver: str = ""

    @cached_property
    def plugins(self) -> Plugins:
        drivers = {self.plugin: self.driver} if self.driver else {}
        return Plugins.of({self.plugin: self.code.load()}, drivers=drivers)

    @property
    def driver_name(self) -> str:
        return self.plugins.driver(self.plugin)

    @cached_property
    def effects(self) -> tuple[type[Effect], ...]:
        return tuple(self.plugins.call(self.plugin, "dra_effects") or ())

    def sources(self) -> tuple[str, ...]:
        """Prefixes of the files that hold the effects' code."""
        found = set()
        for effect in self.effects:
            for cls in effect.__mro__:
                module = sys.modules.get(cls.__module__)
                file = getattr(module, "__file__", None)
                if file and cls.__module__ != "dracore.model.effect" and issubclass(cls, Effect):
                    package = cls.__module__.partition(".")[0]
                    inner = package != "dracore" and getattr(sys.modules.get(package), "__path__", None)
                    found.add(f"{next(iter(inner))}/" if inner else file)
        return tuple(sorted(found))


FOREIGN = (
    "k8s.{driver}-claim_00000000-0000-4000-8000-000000000000-{device}.json",  # the vendor's own driver's
    "dracore-{driver}-b-00000000-0000-4000-8000-000000000000.json",  # of a driver with a longer name
    "site.json",
)
"""Files of others in the CDI folder, which nobody of ours touches."""


class TurnedClock:
    """The machine's clocks, where time can be let pass and the time of day be turned."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._turned = 0.0

    def now(self) -> float:
        return time.time() + self._passed + self._turned

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def pass_by(self, seconds: float) -> None:
        self._passed += seconds

    def turn(self, seconds: float) -> None:
        self._turned += seconds


class Said:
    """What the engine reports to people."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, reason: str, message: str, *, claim: Any = None, warning: bool = True) -> None:
        self.events.append((reason, message))

    def count(self, metric: str, amount: float = 1) -> None:
        pass


class Stand:
    """The driver in this process. The folder keeps the rest: node, cluster, plugin folder, CDI files.

    :param minor: how many MINOR steps its journal's schema is ahead of today's.
    """

    def __init__(self, subject: Subject, folder: Path, points: Points, *, minor: int = 0) -> None:
        self.subject = subject
        self.folder = folder
        self.points = points
        self.said = Said()
        self.ground: Ground = subject.ground.load()(folder / "node")
        self.ground.folder.mkdir(parents=True, exist_ok=True)
        self.ground.arrange()
        self.cluster = Cluster(folder, subject.driver_name)
        self.clock = TurnedClock()
        self.minor = minor
        self.ordinal = 0
        self.with_foreign = False
        """Whether files of others have been there since the start."""
        self.plugin_folder = folder / "disk" / "plugin"
        self.cdi_folder = folder / "disk" / "cdi"
        self.sessions: dict[str, Any] = {}
        self.inventory: dict[str, Device] = {}
        self.node = POOL
        self.simulation: Simulation | None = self.ground.simulation()
        self._settings = _settings(subject, self.ground)
        self._plugins = subject.plugins
        self._opaque = Opaque(self._plugins, subject.driver_name)
        self.engine: Engine

    def start(self) -> Stand:
        """Opens the journal, starts the plugin, discovers, recovers.

        :raises DracoreError: a fault in its way.
        """
        name = self.subject.driver_name
        if self.cdi_folder.is_dir():  # who makes it is the driver
            self.with_foreign = True
            for foreign in self.foreign:
                foreign.touch()
        with ahead(self.minor):
            journal = Journal.open(self.plugin_folder, seam=self.points, clock=self.clock, reports=self.said)
        try:
            self.engine = Engine(
                driver=name,
                folder=self.plugin_folder,
                journal=journal,
                boot_id=self.cluster.boot_id,
                hooks=self,
                devices=self,
                configs=self,
                claims=self.cluster,
                pods=self.cluster,
                cdi=Cdi(self.cdi_folder, name, seam=self.points),
                surroundings=self,
                clock=self.clock,
                seam=self.points,
                reports=self.said,
            )
            plugin = self.subject.plugin
            with self.engine.starting(plugin) as ctx:
                session = self.sessions[plugin] = self.call(plugin, "dra_start", ctx=ctx)
            if isinstance(session, NodeDouble):
                session.met = lambda flag: self.points("wait.met", flag)
            found = self._discover()
            if self.engine.settled(plugin):
                found = self._discover()
            self.inventory = {device.name: device for device in getattr(found, "devices", found)}
            self.engine.recover()
            self.ordinal = self.cluster.enter()
        except BaseException:
            journal.close()
            raise
        return self

    def _discover(self) -> Any:
        plugin = self.subject.plugin
        return self.call(plugin, "dra_discover", ctx=self.engine.context(plugin)) or ()

    def stop(self) -> None:
        plugin = self.subject.plugin
        try:
            if plugin in self.sessions and self._plugins.implements(plugin, "dra_stop"):
                context = self.engine.context(plugin)
                self.call(plugin, "dra_stop", ctx=context, session=self.sessions.pop(plugin))
        finally:
            self.engine.close()

    @property
    def foreign(self) -> list[Path]:
        """Files of others."""
        names = (name.format(driver=self.subject.driver_name, device="x") for name in FOREIGN)
        return [self.cdi_folder / name for name in names]

    def allowed(self) -> bool:
        """Whether this instance reconciles: the youngest does."""
        return self.ordinal == self.cluster.youngest()

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.engine, allowed=self.allowed)

    @cached_property
    def looks(self) -> Looks:
        return Looks(self)

    # --- the engine's ports -----------------------------------------------------------------------------

    def plugins(self, driver: str) -> Sequence[str]:
        return self._plugins.plugins(driver)

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        return self._plugins.call(plugin, hook, **arguments)

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        return self._plugins.effect_type(driver, kind)

    def distribution_of(self, driver: str, kind: str) -> str:
        return self._plugins.distribution(self.subject.plugin).name

    def find(self, pool: str, device: str) -> tuple[Device, str] | None:
        found = self.inventory.get(device)
        return None if found is None else (found, self.subject.plugin)

    def identified(self, identity: str) -> tuple[Device, str] | None:
        found = next((d for d in self.inventory.values() if d.identity == identity), None)
        return None if found is None else (found, self.subject.plugin)

    def ready(self) -> bool:
        return True

    def resolve(self, claim: Claim, devices: Sequence[Device]) -> Resolved:
        found = self._opaque.resolve(claim, devices)
        groups = tuple(Group(g.strategy, g.plugin, g.params, g.members) for g in found.groups)
        return Resolved(found.configs, groups)

    def settings(self, plugin: str) -> Any:
        return self._settings

    def log(self, plugin: str) -> Any:
        return structlog.get_logger("dracore.plugin").bind(plugin=plugin)

    def session(self, plugin: str) -> Any:
        return self.sessions.get(plugin)

    def kube(self) -> Any:
        raise PluginError("there is no API server in a crash matrix")


def start(
    subject: Subject,
    folder: Path,
    points: Points,
    made: Callable[[Stand], None] = lambda _: None,
    *,
    minor: int = 0,
) -> Stand:
    """A started driver; a start that a fault ended is tried again.

    :param made: told of each stand before it starts.
    """
    failure: Exception | None = None
    for number in range(STARTS + 1):
        if number == STARTS:
            points.calm()  # a disk that stays full: somebody makes room
        try:
            stand = Stand(subject, folder, points, minor=minor)
            made(stand)
            return stand.start()
        except (DracoreError, OSError, ValueError) as error:
            failure = error
    raise AssertionError(
        f"the driver does not start any more: {type(failure).__name__}: {' '.join(str(failure).split())} "
        f"(its settings are what {subject.ground.name}.settings() answers)"
    ) from failure


@contextmanager
def ahead(steps: int) -> Iterator[None]:
    """The journal's schema as a later MINOR might have it; in one thread."""
    known = schema.STEPS, schema.MINOR
    schema.STEPS += tuple(
        (
            f"ALTER TABLE claims ADD COLUMN later_{number} TEXT",
            f"ALTER TABLE effects ADD COLUMN later_{number} TEXT",
            f"CREATE TABLE later_{number} (uid TEXT PRIMARY KEY, value TEXT)",
        )
        for number in range(steps)
    )
    schema.MINOR += steps
    try:
        yield
    finally:
        schema.STEPS, schema.MINOR = known


def _settings(subject: Subject, ground: Ground) -> Any:
    section: Mapping[str, Any] = ground.settings()
    model = subject.plugins.call(subject.plugin, "dra_settings")
    return section if model is None else model.model_validate(dict(section))
