"""Text-image models: contrast sentences and slices in one space."""
