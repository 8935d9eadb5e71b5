"""Training of the built-in networks, the same recipe in PyTorch and in Keras."""
