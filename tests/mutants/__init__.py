"""Does the suite notice errors? Wrong rules of ops, in `test_rules.py`, and wrong lines elsewhere, in `engine.py`."""
