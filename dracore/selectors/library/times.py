"""Durations and timestamps (google.protobuf.Duration and Timestamp, to the nanosecond)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from dracore.selectors.faults import Fault
from dracore.selectors.shown import quoted
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
EARLIEST = (date(1, 1, 1).toordinal() - _EPOCH) * 86400 * SECOND
LATEST = (date(9999, 12, 31).toordinal() - _EPOCH + 1) * 86400 * SECOND - 1
"""The first and last nanosecond of the years 1 to 9999."""
# Go takes an hour of one digit, and a comma.
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def duration(nanos: int) -> Duration:
    """A duration, if it fits into 64 bits."""
    if INT_MIN <= nanos <= INT_MAX:
        return Duration(nanos)
    raise Fault("integer overflow")


def timestamp(nanos: int, offset: int = 0) -> Timestamp:
    """A timestamp, if it lies in the years 1 to 9999."""
    if EARLIEST <= nanos <= LATEST:
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
            if hours > 24 or minutes > 60:
                raise _failed(value, "Timestamp")
            offset = (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
        try:
            # The year 0 is one to Go, though no timestamp may lie in it.
            days = date(year or _CYCLE_YEARS, month, day).toordinal() - _EPOCH - (0 if year else _CYCLE_DAYS)
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
    at = _Moment(whole + value.offset)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    minutes = abs(value.offset) // 60
    sign = "-" if value.offset < 0 else "+"
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if value.offset else "Z"
    clock = f"{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
    return f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{clock}{fraction}{zone}"


# --- parts of a timestamp ---------------------------------------------------------------------------------

_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
"""After so many days the calendar repeats itself."""
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


class _Moment:
    """Seconds since 1970 by the calendar. A zone may lead to the years 0 and 10000, which Python has not."""

    def __init__(self, seconds: int) -> None:
        days, self._clock = divmod(seconds, 86400)
        cycles, days = divmod(days + _EPOCH - 1, _CYCLE_DAYS)
        self._date = date.fromordinal(days + 1)
        self.year = self._date.year + cycles * _CYCLE_YEARS
        self.month, self.day = self._date.month, self._date.day
        self.hour, self.minute, self.second = self._clock // 3600, self._clock // 60 % 60, self._clock % 60
        self.weekday = self._date.isoweekday() % 7
        self.yearday = self._date.timetuple().tm_yday


def _offset(zone: str, seconds: int) -> int:
    """Seconds east of UTC at an instant, of a zone's name or of hours and minutes."""
    hours, colon, minutes = zone.partition(":")
    if colon:
        total = _atoi(hours) * 60
        rest = _atoi(minutes)
        return (total - rest if zone[0] == "-" else total + rest) * 60
    if zone in ("", "UTC", "Local"):  # the API server runs in UTC
        return 0
    if ".." in zone or zone[0] in "/\\":
        raise Fault("time: invalid location name")
    from zoneinfo import ZoneInfo

    try:
        known = ZoneInfo(zone)
    except (OSError, ValueError, KeyError):
        raise Fault(f"unknown time zone {zone}") from None
    # Python's years end where a zone may still lead beyond; what a zone does has no history there.
    inside = min(max(seconds, EARLIEST // SECOND + 2 * 86400), LATEST // SECOND - 2 * 86400)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=inside)
    offset = moment.astimezone(known).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _atoi(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Fault(f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if len(text) > 300 or not INT_MIN <= int(text) <= INT_MAX:
        raise Fault(f"strconv.Atoi: parsing {quoted(text)}: value out of range")
    return int(text)


def _getter(read: Callable[[_Moment], int]) -> Callable[..., int]:
    def get(value: Timestamp, zone: str = "") -> int:
        seconds = value.nanos // SECOND
        return read(_Moment(seconds + (_offset(zone, seconds) if zone else 0)))

    return get


def _milliseconds(value: Timestamp, zone: str = "") -> int:
    _offset(zone, 0)
    return value.nanos % SECOND // 1_000_000


def _toward_zero(nanos: int, unit: int) -> int:
    return nanos // unit if nanos >= 0 else -(-nanos // unit)


def _of_duration(unit: int) -> Callable[[Duration], int]:
    return lambda value: _toward_zero(value.nanos, unit)


def _functions() -> dict[str, dict[str, tuple[str, Any]]]:
    getters: dict[str, tuple[str, Callable[..., int]]] = {
        "getFullYear": ("year", _getter(lambda moment: moment.year)),
        "getMonth": ("month", _getter(lambda moment: moment.month - 1)),
        "getDayOfYear": ("day_of_year", _getter(lambda moment: moment.yearday - 1)),
        "getDayOfMonth": ("day_of_month", _getter(lambda moment: moment.day - 1)),
        "getDate": ("day_of_month_1_based", _getter(lambda moment: moment.day)),
        "getDayOfWeek": ("day_of_week", _getter(lambda moment: moment.weekday)),
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
