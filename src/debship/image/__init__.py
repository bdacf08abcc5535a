"""A container image from the very same .deb."""
