"""The idea, and the ground floor: the graph, ops and their rules, the backward walk, grad mode, versions, tracing."""
