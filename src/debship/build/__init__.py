"""An application becomes a .deb."""
