"""From a file to a checked configuration with its plugins, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dracore.config.faults import all_of, decode
from dracore.config.node import Host, NodeConfiguration, SimulationSection
from dracore.config.text import Document, read
from dracore.errors import ConfigError, DracoreError
from dracore.model.context import Simulation
from dracore.plugins import EntryPoints, Plugins

SOCKET_LIMIT = 107
"""Bytes of a unix socket's path: sun_path is 108 with its final zero."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A node configuration and its plugins, whose settings are decoded."""

    configuration: NodeConfiguration
    plugins: Plugins


def load(
    path: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    find: EntryPoints | None = None,
    compile_filter: Callable[[str], object] | None = None,
) -> Loaded:
    """Reads and checks a node configuration; nothing of the node is touched.

    :param env: fills ``${NAME}``; default: the process's environment.
    :param overrides: values by dotted path (``{"kubelet.rootDir": "/x"}``): they win over the file.
    :param find: where plugins are looked for (see :meth:`Plugins.load`).
    :param compile_filter: raises an error where `filter` does not compile (this layer knows no CEL).
    :raises ConfigError: with every fault in ``problems`` where there are several.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}", fix="give a node configuration file") from error
    return parse(text, str(path), env, overrides, find=find, compile_filter=compile_filter)


def parse(
    text: str,
    source: str,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    find: EntryPoints | None = None,
    compile_filter: Callable[[str], object] | None = None,
) -> Loaded:
    """As :func:`load`, from text; `source` is its name in messages."""
    document = read(text, source, os.environ if env is None else env)
    problems: list[DracoreError] = list(document.problems)
    if document.data is None:
        document.data = {}
    if isinstance(document.data, dict):
        for name, value in (overrides or {}).items():
            _override(document, name, value)
    configuration, faults = decode(
        NodeConfiguration, document.data, document.where, by_name=False, faulty=document.faulty
    )
    problems += faults
    plugins, faults_of_plugins = _plugins(document, find)
    problems += faults_of_plugins
    problems += _bad_simulation(plugins, document)
    if configuration is not None:
        problems += _long_sockets(configuration, plugins, document)
    if compile_filter is not None:
        problems += _bad_filter(document, compile_filter)
    if problems or configuration is None:
        raise all_of(sorted(map(_as_config, problems), key=_line_of(source)), source)
    return Loaded(configuration, plugins)


def _line_of(source: str) -> Callable[[ConfigError], int]:
    """Order of faults: as a person reads the file; first what has no line."""

    def line(problem: ConfigError) -> int:
        digits = (problem.where or "").removeprefix(f"{source}:").partition(":")[0]
        return int(digits) if digits.isdecimal() else 0

    return line


def _bad_filter(document: Document, compile_filter: Callable[[str], object]) -> Iterator[ConfigError]:
    text = document.data.get("filter") if isinstance(document.data, dict) else None
    if not isinstance(text, str) or not text:
        return  # its type is told already
    try:
        compile_filter(text)
    except DracoreError as error:
        yield ConfigError(error.what, where=document.where(("filter",)), fix=error.fix)


def _as_config(problem: DracoreError) -> ConfigError:
    if isinstance(problem, ConfigError):
        return problem
    return ConfigError(problem.what, where=problem.where, fix=problem.fix)


def _override(document: Document, name: str, value: Any) -> None:
    *parents, last = name.split(".")
    section = document.data
    for step in parents:
        inner = section.setdefault(step, {})
        if inner is None:
            inner = section[step] = {}
        if not isinstance(inner, dict):
            return  # its type is the fault that the reader is told
        section = inner
    section[last] = value


def _plugins(document: Document, find: EntryPoints | None) -> tuple[Plugins, list[DracoreError]]:
    sections = document.data.get("plugins") if isinstance(document.data, dict) else None
    sections = sections if isinstance(sections, dict) else {}
    plugins, found = Plugins.find(sections, find)
    problems: list[DracoreError] = []
    for problem in found:
        where = document.where(("plugins", problem.plugin))
        problems.append(ConfigError(str(problem.value), where=where))
    settings: dict[str, Any] = {}
    for name in plugins.plugins():
        section = sections[name]
        section = {} if section is None else section
        if not isinstance(section, dict):
            continue  # its type is told already
        try:
            settings[name], faults = _section(plugins, name, section, document)
            problems += faults
        except DracoreError as error:
            problems.append(error)
    return plugins.with_settings(settings), problems


def _section(
    plugins: Plugins, name: str, section: dict[str, Any], document: Document
) -> tuple[BaseModel | None, list[ConfigError]]:
    model = settings_model(plugins, name)
    prefix = ("plugins", name)
    if model is None:
        fix = f"{name} has no settings"
        unknown = [
            ConfigError(f"unknown key {key!r}", where=document.where((*prefix, key)), fix=fix)
            for key in section
        ]
        return None, unknown
    inside = {path[2:] for path in document.faulty if path[:2] == prefix}
    return decode(model, section, lambda path: document.where((*prefix, *path)), faulty=inside)


def _bad_simulation(plugins: Plugins, document: Document) -> Iterator[ConfigError]:
    """What plugins say of the simulation that is asked for; also where other sections are faulty."""
    section = document.data.get("simulation") if isinstance(document.data, dict) else None
    if section is None:
        return
    decoded, _ = decode(SimulationSection, section, document.where, by_name=False)
    if decoded is None:
        return  # its faults are told already
    simulation = Simulation(decoded.node, decoded.state_dir, Host().boot_id_file)
    for name in plugins.plugins():
        try:
            plugins.call(name, "dra_check_simulation", simulation=simulation)
        except DracoreError as error:
            inside = "" if (error.where or "").startswith(f"plugin {name},") else f"{error.where}: "
            where = document.where(("simulation", "node"))
            yield ConfigError(f"{inside}{error.what}", where=where, fix=error.fix)


def settings_model(plugins: Plugins, name: str) -> type[BaseModel] | None:
    """The model of a plugin's section; None where it has no settings.

    :raises ConfigError: what the plugin gives is no pydantic model.
    """
    model = plugins.call(name, "dra_settings")
    if model is None or (isinstance(model, type) and issubclass(model, BaseModel)):
        return model
    raise ConfigError(
        f"dra_settings must return a pydantic model, not {model!r}", where=f"plugin {name}, hook dra_settings"
    )


def _long_sockets(
    configuration: NodeConfiguration, plugins: Plugins, document: Document
) -> Iterator[ConfigError]:
    kubelet = configuration.kubelet
    sockets: list[tuple[tuple[str, str], Path]] = [
        (("host", "statusSocket"), configuration.host.status_socket),
        (("kubelet", "podResourcesSocket"), kubelet.pod_resources_socket),
    ]
    for driver in plugins.drivers():
        sockets.append((("kubelet", "pluginsDir"), kubelet.plugins_dir / driver / "dra.sock"))
        sockets.append((("kubelet", "registryDir"), kubelet.registry_dir / f"{driver}-reg.sock"))
    for path, socket in sockets:
        length = len(os.fsencode(socket))
        if length > SOCKET_LIMIT:
            yield ConfigError(
                f"{socket} is {length} bytes long, and a unix socket's path at most {SOCKET_LIMIT}",
                where=document.where(path),
                fix="choose a shorter folder",
            )
