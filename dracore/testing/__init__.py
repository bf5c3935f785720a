"""The test kit: an embedded API server, a fake kubelet, what a container would get, a pytest plugin."""
