"""Cards: what a model wants, what it answers, how good it is, and which one fits."""
