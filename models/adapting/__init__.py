"""What a model learns on from a few labels of a new event: reading them, judging what it gave."""
