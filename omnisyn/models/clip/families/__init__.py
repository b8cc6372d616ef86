"""The text-image models that can be built, one file a family."""
