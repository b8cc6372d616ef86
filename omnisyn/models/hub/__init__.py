"""Weights through the Hugging Face hub: addresses, fetching, and giving away."""
