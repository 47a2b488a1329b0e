"""One file per experiment: a question, the prediction, and the configurations that answer it."""
