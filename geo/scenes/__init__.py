"""Scenes: which acquisition of which sensor a file holds, and in what units."""
