"""Training: a loop that runs any task, and the tasks.

`task` says what a task is, and `tasks` holds them. Loop, step, checkpoints and work folder know no
model. `trained` reads the network of a run; `validation` evaluates it, during training and at the
end.
"""
