"""Our side of GradBench (https://github.com/gradbench/gradbench): its eleven evaluations, and its protocol for tools.

    python -m tests.benchmarks.gradbench            answer GradBench's messages, one JSON object a line
    python -m tests.benchmarks.gradbench.table      times beside GradBench's own tools

The evaluations are written from the definitions in GradBench's README files.
"""
