"""One file per training; its docstring states the command and what to expect."""
