"""One file per experiment: a question, a prediction, and the configurations that answer it."""
