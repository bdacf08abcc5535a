"""What is inside a .deb, wheel by wheel, and what differs between two.

A package is read in one go, checked to its last byte, and believed in nothing: whoever shows
what is given here must make its text fit for a terminal.
"""
