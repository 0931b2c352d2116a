"""The map run: from a request to a published product."""
