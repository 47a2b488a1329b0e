"""Training: a loop that runs any task, and the tasks.

`task` says what a task is, and `tasks` holds them. Loop, step, checkpoints and work folder know no
model.
"""
