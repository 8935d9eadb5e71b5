"""What the page Robustness and data consists of: who is in the data, what is wrong with it, and other conditions."""
