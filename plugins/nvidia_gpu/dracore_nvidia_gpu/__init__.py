"""Full NVIDIA GPUs for dracore, and a simulator of the hardware at NVML's C interface."""
