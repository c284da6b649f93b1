"""A course of twelve exercises: each is a page with code to complete, and a grader that runs it."""
