"""What the scheduler would allocate, and why not: for commands, the demo and tests, never for the daemon."""

from dracore.allocate.allocator import Allocator, Answer
from dracore.allocate.features import Features
from dracore.allocate.held import Held, allocated_devices
from dracore.allocate.nodes import Node
from dracore.allocate.published import DeviceId, PublishedSlice, TaintRule
from dracore.allocate.simple import allocate
from dracore.allocate.wanted import DeviceClass, WantedClaim

__all__ = [
    "Allocator",
    "Answer",
    "DeviceClass",
    "DeviceId",
    "Features",
    "Held",
    "Node",
    "PublishedSlice",
    "TaintRule",
    "WantedClaim",
    "allocate",
    "allocated_devices",
]
