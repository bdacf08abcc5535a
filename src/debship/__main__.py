"""`python -m debship`."""

from debship.program import program

program()
