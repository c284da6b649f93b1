"""The tests under Pyodide: see run.mjs."""
