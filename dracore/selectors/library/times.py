"""Durations and timestamps (google.protobuf.Duration and Timestamp, to the nanosecond)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

from dracore.selectors.faults import Fault
from dracore.selectors.values import INT_MAX, INT_MIN, NO_OVERLOAD, Duration, Timestamp, type_name

SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST = (date(1, 1, 1).toordinal() - _EPOCH) * 86400 * SECOND
_LATEST = (date(9999, 12, 31).toordinal() - _EPOCH + 1) * 86400 * SECOND - 1
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def duration(nanos: int) -> Duration:
    """A duration, if it fits into 64 bits."""
    if INT_MIN <= nanos <= INT_MAX:
        return Duration(nanos)
    raise Fault("integer overflow")


def timestamp(nanos: int, offset: int = 0) -> Timestamp:
    """A timestamp, if it lies in the years 1 to 9999."""
    if _EARLIEST <= nanos <= _LATEST:
        return Timestamp(nanos, offset)
    raise Fault("timestamp overflow")


def add(one: Any, other: Any) -> Any:
    """A duration with a duration or a timestamp, in either order."""
    if isinstance(one, Duration) and isinstance(other, Duration):
        return duration(one.nanos + other.nanos)
    if isinstance(one, Duration) != isinstance(other, Duration) and isinstance(other, Duration | Timestamp):
        moment = other if isinstance(other, Timestamp) else one
        return timestamp(one.nanos + other.nanos, moment.offset)
    raise Fault(NO_OVERLOAD)


def subtract(one: Any, other: Any) -> Any:
    """Durations from both; a timestamp from a timestamp."""
    if isinstance(other, Duration):
        difference = one.nanos - other.nanos
        return duration(difference) if isinstance(one, Duration) else timestamp(difference, one.offset)
    if isinstance(one, Timestamp) and isinstance(other, Timestamp):
        return duration(one.nanos - other.nanos)
    raise Fault(NO_OVERLOAD)


def _failed(value: Any, target: str) -> Fault:
    return Fault(f"type conversion error from '{type_name(value)}' to 'google.protobuf.{target}'")


def to_duration(value: Any) -> Duration:
    """``duration('1h30m')``"""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str) and len(value) < 1000:
        sign = -1 if value[:1] == "-" else 1
        text = value[1:] if value[:1] in ("+", "-") else value
        if text == "0":
            return Duration(0)
        at, total = 0, 0
        while (part := _PART.match(text, at)) is not None:
            whole, _, fraction = part[1].partition(".")
            unit = _UNITS[part[2]]
            total += int(whole or 0) * unit
            total += int(fraction or 0) * unit // 10 ** len(fraction)
            at = part.end()
        if at and at == len(text) and INT_MIN <= sign * total <= INT_MAX:
            return Duration(sign * total)
    raise _failed(value, "Duration")


def to_timestamp(value: Any) -> Timestamp:
    """``timestamp('2026-01-01T00:00:00Z')``, or seconds since 1970."""
    if isinstance(value, Timestamp):
        return value
    if value.__class__ is int:
        return timestamp(value * SECOND)
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        year, month, day, hour, minute, second = (int(found[index]) for index in range(1, 7))
        zone = found[8]
        offset = 0
        if zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:6])
            if hours > 24 or minutes > 59:
                raise _failed(value, "Timestamp")
            offset = (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
        try:
            days = date(year, month, day).toordinal() - _EPOCH
        except ValueError:
            raise _failed(value, "Timestamp") from None
        if hour < 24 and minute < 60 and second < 60:
            nanos = int(((found[7] or "") + "0" * 9)[:9])
            seconds = (days * 24 + hour) * 3600 + minute * 60 + second - offset
            return timestamp(seconds * SECOND + nanos, offset)
    raise _failed(value, "Timestamp")


def show(value: Any) -> str:
    """As ``string()`` writes it: ``5400s``, ``2026-01-01T00:00:00.5Z``."""
    if isinstance(value, Duration):
        seconds = Decimal(value.nanos) / SECOND
        text = f"{seconds:f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text}s"
    whole, nanos = divmod(value.nanos, SECOND)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole + value.offset)
    except OverflowError:
        raise Fault("timestamp overflow") from None
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    minutes = abs(value.offset) // 60
    sign = "-" if value.offset < 0 else "+"
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if value.offset else "Z"
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}{zone}"


def _zone(name: str) -> tzinfo:
    sign, colon, minutes = name.partition(":")
    if colon:
        try:
            hours, rest = int(sign), int(minutes)
        except ValueError:
            raise Fault(f'strconv.Atoi: parsing "{sign}": invalid syntax') from None
        return timezone(timedelta(minutes=hours * 60 - rest if name[0] == "-" else hours * 60 + rest))
    if name in ("", "UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise Fault(f"unknown time zone {name}") from None


def _getter(read: Callable[[datetime], int]) -> Callable[..., int]:
    def get(value: Timestamp, zone: str = "UTC") -> int:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value.nanos // SECOND)
        try:
            return read(moment.astimezone(_zone(zone)))
        except (OverflowError, ValueError):
            raise Fault("timestamp overflow") from None

    return get


def _milliseconds(value: Timestamp, zone: str = "UTC") -> int:
    _zone(zone)
    return value.nanos % SECOND // 1_000_000


def _toward_zero(nanos: int, unit: int) -> int:
    return nanos // unit if nanos >= 0 else -(-nanos // unit)


def _of_duration(unit: int) -> Callable[[Duration], int]:
    return lambda value: _toward_zero(value.nanos, unit)


def _functions() -> dict[str, dict[str, tuple[str, Any]]]:
    getters: dict[str, tuple[str, Callable[..., int]]] = {
        "getFullYear": ("year", _getter(lambda moment: moment.year)),
        "getMonth": ("month", _getter(lambda moment: moment.month - 1)),
        "getDayOfYear": ("day_of_year", _getter(lambda moment: moment.timetuple().tm_yday - 1)),
        "getDayOfMonth": ("day_of_month", _getter(lambda moment: moment.day - 1)),
        "getDate": ("day_of_month_1_based", _getter(lambda moment: moment.day)),
        "getDayOfWeek": ("day_of_week", _getter(lambda moment: moment.isoweekday() % 7)),
        "getHours": ("hours", _getter(lambda moment: moment.hour)),
        "getMinutes": ("minutes", _getter(lambda moment: moment.minute)),
        "getSeconds": ("seconds", _getter(lambda moment: moment.second)),
        "getMilliseconds": ("milliseconds", _milliseconds),
    }
    units = {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND}
    table: dict[str, dict[str, tuple[str, Any]]] = {}
    for name, (word, run) in getters.items():
        table[name] = {
            f"timestamp_to_{word}": ("timestamp.() -> int", run),
            f"timestamp_to_{word}_with_tz": ("timestamp.(string) -> int", run),
        }
        if name in units:
            table[name][f"duration_to_{word}"] = ("duration.() -> int", _of_duration(units[name]))
    # The milliseconds of a duration are all of it in the library of the API server's version.
    table["getMilliseconds"]["duration_to_milliseconds"] = ("duration.() -> int", _of_duration(1_000_000))
    return table


FUNCTIONS = _functions()
