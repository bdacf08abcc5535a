"""`python -m debship`."""

from debship.cli.main import program

program()
