"""What the scheduler would allocate: for the demo and tests, never for the daemon."""

from dracore.allocate.allocator import DeviceId, allocate, allocated_devices

__all__ = ["DeviceId", "allocate", "allocated_devices"]
