"""An authentication service, small but real: it issues tokens and verifies them."""

from auth.service import create_app

__all__ = ["create_app"]
