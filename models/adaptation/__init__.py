"""Adaptation: a model adjusted to a new event from a few labels."""
