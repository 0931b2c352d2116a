"""The command `validate`: a sample of buildings for the eye, and its answers read back."""
