"""Keeps the ResourceSlices on the API server equal to what the node has."""
