"""One file per experiment; its docstring states the command and what to expect."""
