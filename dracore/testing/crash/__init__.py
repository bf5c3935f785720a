"""Crash points: a driver killed and failed at every boundary, and what must hold afterwards."""
