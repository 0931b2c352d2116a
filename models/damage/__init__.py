"""Damage: grades of buildings, from images before and after an event."""
