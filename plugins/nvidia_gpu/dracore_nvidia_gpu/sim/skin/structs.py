"""NVML's structs as nvml.h lays them out.

Written from the header, not taken from pynvml: where the two disagree, the simulator shows it as the real
library would.
"""

from __future__ import annotations

from ctypes import (
    Structure,
    Union,
    c_char,
    c_double,
    c_int,
    c_longlong,
    c_ubyte,
    c_uint,
    c_ulonglong,
    c_ushort,
    c_void_p,
    sizeof,
)

NAME_LENGTH = 96
"""NVML_DEVICE_NAME_V2_BUFFER_SIZE."""


def version_word(struct: type[Structure], version: int) -> int:
    """NVML_STRUCT_VERSION."""
    return sizeof(struct) | (version << 24)


class Memory(Structure):
    _fields_ = [("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong)]


class MemoryV2(Structure):
    _fields_ = [
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    ]


class Bar1Memory(Structure):
    _fields_ = [("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong)]


class PciInfo(Structure):
    _fields_ = [
        ("legacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("id", c_uint),
        ("subsystem", c_uint),
        ("text", c_char * 32),
    ]


class PciInfoExt(Structure):
    _fields_ = [
        ("version", c_uint),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("id", c_uint),
        ("subsystem", c_uint),
        ("base_class", c_uint),
        ("sub_class", c_uint),
        ("text", c_char * 32),
    ]


class AddressingMode(Structure):
    _fields_ = [("version", c_uint), ("value", c_uint)]


class DriverBranch(Structure):
    _fields_ = [("version", c_uint), ("branch", c_char * 80)]


class _UuidValue(Union):
    _fields_ = [("text", c_char * 41), ("raw", c_ubyte * 16)]


class Uuid(Structure):
    _fields_ = [("version", c_uint), ("type", c_uint), ("value", _UuidValue)]


class Placement(Structure):
    _fields_ = [("start", c_uint), ("size", c_uint)]


_GI_COUNTS = [
    ("slices", c_uint),
    ("instances", c_uint),
    ("sm", c_uint),
    ("ce", c_uint),
    ("dec", c_uint),
    ("enc", c_uint),
    ("jpeg", c_uint),
    ("ofa", c_uint),
    ("memory_mib", c_ulonglong),
]


class GiProfileInfo(Structure):
    _fields_ = [("id", c_uint), ("p2p", c_uint), *_GI_COUNTS]


class GiProfileInfoV2(Structure):
    _fields_ = [
        ("version", c_uint),
        ("id", c_uint),
        ("p2p", c_uint),
        *_GI_COUNTS,
        ("name", c_char * NAME_LENGTH),
    ]


class GiProfileInfoV3(Structure):
    """v3 has no P2P field of its own; it is a bit of ``capabilities``."""

    _fields_ = [
        ("version", c_uint),
        ("id", c_uint),
        *_GI_COUNTS,
        ("name", c_char * NAME_LENGTH),
        ("capabilities", c_uint),
    ]


class GiInfo(Structure):
    _fields_ = [("device", c_void_p), ("id", c_uint), ("profile", c_uint), ("placement", Placement)]


_CI_COUNTS = [
    ("id", c_uint),
    ("slices", c_uint),
    ("instances", c_uint),
    ("sm", c_uint),
    ("ce", c_uint),
    ("dec", c_uint),
    ("enc", c_uint),
    ("jpeg", c_uint),
    ("ofa", c_uint),
]


class CiProfileInfo(Structure):
    _fields_ = list(_CI_COUNTS)


class CiProfileInfoV2(Structure):
    _fields_ = [("version", c_uint), *_CI_COUNTS, ("name", c_char * NAME_LENGTH)]


class CiProfileInfoV3(Structure):
    _fields_ = [
        ("version", c_uint),
        *_CI_COUNTS,
        ("name", c_char * NAME_LENGTH),
        ("capabilities", c_uint),
    ]


class CiInfo(Structure):
    _fields_ = [
        ("device", c_void_p),
        ("gpu_instance", c_void_p),
        ("id", c_uint),
        ("profile", c_uint),
        ("placement", Placement),
    ]


class DeviceAttributes(Structure):
    _fields_ = [
        ("sm", c_uint),
        ("ce", c_uint),
        ("dec", c_uint),
        ("enc", c_uint),
        ("jpeg", c_uint),
        ("ofa", c_uint),
        ("gi_slices", c_uint),
        ("ci_slices", c_uint),
        ("memory_mib", c_ulonglong),
    ]


class ProcessInfo(Structure):
    _fields_ = [
        ("pid", c_uint),
        ("memory", c_ulonglong),
        ("gi", c_uint),
        ("ci", c_uint),
    ]


class EventData(Structure):
    _fields_ = [
        ("device", c_void_p),
        ("type", c_ulonglong),
        ("data", c_ulonglong),
        ("gi", c_uint),
        ("ci", c_uint),
    ]


class FabricInfo(Structure):
    """``state`` is one byte in C. pynvml reads four, so all four are written."""

    _fields_ = [("cluster", c_ubyte * 16), ("status", c_int), ("clique", c_uint), ("state", c_uint)]


class FabricInfoV2(Structure):
    _fields_ = [
        ("version", c_uint),
        ("cluster", c_ubyte * 16),
        ("status", c_int),
        ("clique", c_uint),
        ("state", c_uint),
        ("health_mask", c_uint),
    ]


class FabricInfoV3(Structure):
    _fields_ = [*FabricInfoV2._fields_, ("health_summary", c_ubyte)]


class FabricClique(Structure):
    _fields_ = [("type", c_ubyte), ("id", c_uint)]


class FabricInfoV4(Structure):
    _fields_ = [
        ("cluster", c_ubyte * 16),
        ("status", c_int),
        ("cliques", FabricClique * 64),
        ("clique_count", c_uint),
        ("state", c_ubyte),
        ("health_mask", c_uint),
        ("health_summary", c_ubyte),
    ]


class PlatformInfoV1(Structure):
    _fields_ = [
        ("version", c_uint),
        ("ib_guid", c_ubyte * 16),
        ("rack_guid", c_ubyte * 16),
        ("slot", c_ubyte),
        ("tray", c_ubyte),
        ("host", c_ubyte),
        ("peer", c_ubyte),
        ("module", c_ubyte),
    ]


class PlatformInfoV2(Structure):
    _fields_ = [
        ("version", c_uint),
        ("ib_guid", c_ubyte * 16),
        ("chassis_serial", c_ubyte * 16),
        ("slot", c_ubyte),
        ("tray", c_ubyte),
        ("host", c_ubyte),
        ("peer", c_ubyte),
        ("module", c_ubyte),
    ]


class RemappedRows(Structure):
    _fields_ = [
        ("corr_active", c_uint),
        ("corr_inactive", c_uint),
        ("unc_active", c_uint),
        ("unc_inactive", c_uint),
        ("pending", c_uint),
        ("failed", c_uint),
    ]


class RowHistogram(Structure):
    _fields_ = [("max", c_uint), ("high", c_uint), ("partial", c_uint), ("low", c_uint), ("none", c_uint)]


class CcState(Structure):
    _fields_ = [("environment", c_uint), ("feature", c_uint), ("dev_tools", c_uint)]


class CcSettings(Structure):
    _fields_ = [
        ("version", c_uint),
        ("environment", c_uint),
        ("feature", c_uint),
        ("dev_tools", c_uint),
        ("multi_gpu", c_uint),
    ]


class CcCapabilities(Structure):
    _fields_ = [("cpu", c_uint), ("gpus", c_uint)]


class Utilization(Structure):
    _fields_ = [("gpu", c_uint), ("memory", c_uint)]


class _Value(Union):
    _fields_ = [
        ("double", c_double),
        ("uint", c_uint),
        ("ulonglong", c_ulonglong),
        ("longlong", c_longlong),
        ("int", c_int),
        ("ushort", c_ushort),
    ]


class FieldValue(Structure):
    _fields_ = [
        ("field", c_uint),
        ("scope", c_uint),
        ("timestamp", c_longlong),
        ("latency", c_longlong),
        ("value_type", c_int),
        ("code", c_int),
        ("value", _Value),
    ]
