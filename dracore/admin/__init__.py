"""The status socket: what the running process knows, for ``dracore status`` and for scripts."""
