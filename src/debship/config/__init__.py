"""What users write, read into frozen values."""
