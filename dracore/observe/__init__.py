"""Logs, metrics, and the page that shows them."""
