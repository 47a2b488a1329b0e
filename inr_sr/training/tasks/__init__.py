"""Tasks: what can be trained, one file each; `training.task` says what a task is."""
