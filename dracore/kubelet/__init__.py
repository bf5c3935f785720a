"""The kubelet side of a driver: registration, the DRA service, device health, liveness."""
