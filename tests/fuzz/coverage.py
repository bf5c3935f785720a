"""Runs the parsers of selectors on bytes that atheris makes up, guided by the code they reach.

python tests/fuzz/coverage.py TARGET SECONDS [CORPUS]    writes a finding to crash-… and ends with status 77

Targets: expression (parser, checker, planner, evaluation), quantity, semver, format, time, address, regex.
Whatever is not the package's own error, or takes longer than ten seconds, is a finding. atheris is no
dependency: `make fuzz` puts it into a virtual environment of its own.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

LONGEST = 10.0
"""Seconds that one input may take."""

with atheris.instrument_imports(include=["dracore.selectors"]):
    from dracore.selectors import CompileError, Fault, Selector, stored
    from dracore.selectors.amounts import add, amount, approximately
    from dracore.selectors.engine import build
    from dracore.selectors.faults import Crash, Stopped
    from dracore.selectors.library.conversions import to_double, to_int, to_uint
    from dracore.selectors.library.formats import NAMED
    from dracore.selectors.library.kubernetes import compare, semver
    from dracore.selectors.library.network import cidr, ip
    from dracore.selectors.library.printf import format_text
    from dracore.selectors.library.regexes import find_all, pattern
    from dracore.selectors.library.times import FUNCTIONS, show, to_duration, to_timestamp
    from dracore.selectors.library.urls import query, url

DEVICE = {
    "name": "d",
    "attributes": {
        "i": {"int": 7},
        "s": {"string": "größe"},
        "b": {"bool": True},
        "v": {"version": "1.2.3-rc.1"},
        "l": {"strings": ["a", "b"]},
    },
    "capacity": {"c": {"value": "40Gi"}},
}


def expression(text: str) -> None:
    """Compiled, estimated and evaluated; what is remembered must not differ."""
    try:
        selector = Selector(build(text, stored()))
    except CompileError:
        return
    assert selector.cost >= 0
    first: object
    try:
        first = selector.evaluate("d", DEVICE)
    except Fault as fault:
        first = fault.message
    try:
        second: object = selector.evaluate("d", DEVICE)
    except Fault as fault:
        second = fault.message
    assert first == second, (first, second)


def quantity(text: str) -> None:
    """Read, added, taken away again."""
    one, _, other = text.partition(" ")
    first, second = amount(one), amount(other or "1")
    total = add(first, second)
    approximately(total)
    back = add(total, second, -1)
    assert back.value == first.value or back.big or abs(first.scale - second.scale) > 20
    total.integer()


def version(text: str) -> None:
    """Read in both ways, and ordered."""
    one, _, other = text.partition(" ")
    for normalize in (False, True):
        first, second = semver(one, normalize), semver(other or "1.2.3", normalize)
        assert compare(first, second) == -compare(second, first)


def form(text: str) -> None:
    """Named formats, and texts with clauses."""
    for each in NAMED.values():
        each.faults(text)
    format_text(text, [1, 1.5, "a", b"\xff", [1, {"a": None}], True, None, to_duration("1s")] * 3)


def moment(text: str) -> None:
    """Durations, timestamps, and the parts of these in a zone."""
    with contextlib.suppress(Fault):
        show(to_duration(text))
    when, _, zone = text.partition("|")
    stamp = to_timestamp(when or "2020-02-29T12:00:00Z")
    show(stamp)
    for name in ("getFullYear", "getDayOfYear", "getHours", "getMilliseconds"):
        run = next(run for key, (_, run) in FUNCTIONS[name].items() if key.endswith("with_tz"))
        with contextlib.suppress(Fault):
            run(stamp, zone)


def address(text: str) -> None:
    """Addresses, networks and URLs."""
    for read in (ip, cidr):
        with contextlib.suppress(Fault):
            read(text)
    query(url(text))


def regex(text: str) -> None:
    """A pattern and a text; and numbers in texts."""
    for convert in (to_int, to_uint, to_double):
        with contextlib.suppress(Fault):
            convert(text)
    shape, _, subject = text.partition("\n")
    pattern(shape)
    find_all(subject[:200], shape)


TARGETS: dict[str, Callable[[str], None]] = {
    "expression": expression,
    "quantity": quantity,
    "semver": version,
    "format": form,
    "time": moment,
    "address": address,
    "regex": regex,
}


def main() -> None:
    """Runs one target for so many seconds."""
    target, seconds = TARGETS[sys.argv[1]], int(sys.argv[2])

    def once(data: bytes) -> None:
        # No text of an expression or device holds half a surrogate pair, once it is compiled or read.
        text = data.decode("utf-8", "surrogateescape" if target is expression else "replace")
        started = time.monotonic()
        with contextlib.suppress(Fault, Stopped, Crash):
            target(text)
        assert time.monotonic() - started < LONGEST, f"slow: {text!r}"

    corpus = [argument for argument in sys.argv[3:] if Path(argument).is_dir()]
    options = [f"-max_total_time={seconds}", "-max_len=2000", "-timeout=60", "-rss_limit_mb=2048"]
    options.append("-artifact_prefix=.fuzz/" if Path(".fuzz").is_dir() else "-artifact_prefix=./")
    atheris.Setup([sys.argv[0], *options, *corpus], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
