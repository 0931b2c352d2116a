"""The network: what a pixel means."""
