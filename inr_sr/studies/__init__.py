"""Studies of what training brings: comparisons of training runs, and why one stays smooth."""
