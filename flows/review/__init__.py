"""Review: explanations and visual checks of a product."""
