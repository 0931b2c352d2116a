"""Serving: the store over HTTP, and the checks of an installation."""
