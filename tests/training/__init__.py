"""Training and the built-in networks."""
