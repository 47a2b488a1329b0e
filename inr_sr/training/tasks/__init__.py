"""Tasks, a file each.

A new one implements training.task.Task as super_resolution.py does, and is passed to
training.loop.run(task, config, workdir), as in train.py.
"""
