"""One module per library. A function named after a row's work takes its `Problem` and returns the call to be timed.

The call returns what it computed, as arrays or as a float that has been read back, so that two libraries can be compared.
"""
