"""A .deb becomes a container image."""
