"""One file per training run; its docstring states the command and what to expect."""
