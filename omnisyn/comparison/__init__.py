"""Several models on equal data, with equal steps or equal compute, and one honest report."""
