"""The transparent members of the family: no weights, every number on the card."""
