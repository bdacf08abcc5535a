"""A fleet of real Debian hosts on this machine, to rehearse on."""
