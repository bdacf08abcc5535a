"""Where a repository lies: one file for each kind of store."""
