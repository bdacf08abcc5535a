"""Rolls over hosts, balancers and time that are not real, with faults drawn from a seed."""
