"""A run of a function as a flat program: captured once, planned, written as Python, and replayed."""
