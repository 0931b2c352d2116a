"""Cards: what a model wants, what it answers, how far it can be trusted, and which one fits."""
