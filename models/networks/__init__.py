"""Networks and detectors: what turns rasters into probabilities."""
