"""Preparation: from a hospital's folders to a site, every step of it on record."""
