"""A .deb becomes what a fleet runs."""
