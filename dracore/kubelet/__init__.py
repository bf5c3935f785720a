"""The kubelet's side: registration, the DRA service, liveness, and who uses what (PodResources)."""
