"""Synthesis: a loaded model, the patients it is run on, and everything that is written for them."""
