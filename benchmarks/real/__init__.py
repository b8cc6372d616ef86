"""Real heads: a model beside its controls, direction by direction (docs/real-heads.md)."""
