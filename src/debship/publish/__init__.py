"""A .deb becomes part of an apt repository."""
