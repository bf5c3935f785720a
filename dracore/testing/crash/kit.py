"""``crash_matrix(plugin, scenario)``: the matrix for one's own plugin, out of a test.

The matrix forks, and a process that runs tests has threads; so it runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType

from dracore.testing.crash.children import Mode
from dracore.testing.crash.double import Ground, NodeDouble
from dracore.testing.crash.matrix import MODES, Row
from dracore.testing.crash.report import Report
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Code, Subject


def crash_matrix(
    plugin: ModuleType | str,
    scenario: Scenario | Sequence[Scenario],
    *,
    ground: type[Ground] = NodeDouble,
    name: str = "",
    driver: str = "",
    modes: Sequence[Mode] = MODES,
    every: int = 1,
    jobs: int = 1,
    seconds: float | None = None,
) -> Report:
    """Kills and fails `plugin` at every point of a scenario and between every two lines of its effects.

    :param plugin: the module with the hooks, or its name.
    :param ground: what the plugin stands on: where its effects leave traces. A class at the top level of a
        module.
    :param name: what the plugin is enabled as; default: the last part of the module's name.
    :param driver: its DRA driver, where neither a hook says it nor the package that is not asked here.
    :param every: 1: all points; n: a seeded n-th, where the whole takes too long.
    :param jobs: processes that share the work.
    :param seconds: after which it is ended; None: never. A run that hangs is ended and reported in any case.
    :raises AssertionError: the report with every violation; each names the rule that is broken
        (:data:`dracore.testing.crash.RULES`).
    """
    code = Code.of(plugin)
    subject = Subject(name or code.module.rpartition(".")[2], code, Code.of(ground), driver)
    stories = [scenario] if isinstance(scenario, Scenario) else list(scenario)
    task = pickle.dumps(sys.path) + pickle.dumps((os.getpid(), subject, stories, tuple(modes), every, jobs))
    command = [sys.executable, "-m", "dracore.testing.crash.child"]
    try:
        done = subprocess.run(command, input=task, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        raise AssertionError(
            f"the crash matrix was not done after {seconds:.0f} s: give it more time (seconds=), "
            "more processes (jobs=), a part of the points (every=) or fewer modes (modes=)"
        ) from expired
    if done.returncode:
        raise AssertionError(f"the crash matrix could not run:\n{done.stderr.decode()[-3000:]}")
    report = Report([Row(**row) for row in json.loads(done.stdout.splitlines()[-1])])
    if report.violations:
        raise AssertionError(str(report))
    return report
