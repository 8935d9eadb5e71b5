"""What the Errors page consists of: which images a model got wrong, where, and one image by every model."""
