"""The libraries of functions that selectors may use, each as Kubernetes has it."""
