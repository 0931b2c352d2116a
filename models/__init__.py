"""What a pixel or a building means: models, and how they are made and measured."""
