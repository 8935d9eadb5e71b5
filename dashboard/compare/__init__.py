"""What the Compare page consists of: two models on the same images, for whom they differ, and all models in a table."""
