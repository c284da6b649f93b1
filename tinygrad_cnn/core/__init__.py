"""The core: the graph, ops and their rules, the backward and forward walks, grad mode, versions, tracing."""
