"""Figures: metrics by one rule, the controls beside them, and the report."""
