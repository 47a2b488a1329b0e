"""What can be trained: super-resolution. `training.task` says what a task is."""
