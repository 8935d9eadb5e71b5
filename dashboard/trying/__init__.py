"""Parts of the Try it page: whether it is there, what a model needs, the process beside the server, what came back."""
