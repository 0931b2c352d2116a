"""Reports: what a product found, as numbers and as text."""
