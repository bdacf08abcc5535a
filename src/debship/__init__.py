"""debship: a Python service as a .deb, in a signed apt repository, rolled across a fleet."""

__version__ = "0.1.0"
