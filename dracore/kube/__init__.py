"""The API server: client, watches, work queue, events. Objects are plain JSON."""
