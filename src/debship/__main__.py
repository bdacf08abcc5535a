"""`python -m debship`."""

from debship.cli.main import main

main()
