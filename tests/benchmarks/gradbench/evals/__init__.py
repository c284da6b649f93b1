"""The evaluations, one a file."""
