"""Fixtures of the test kit for pytest; everything heavy is imported when a fixture is asked for."""
