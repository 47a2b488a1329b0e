"""Training: state, step, loop, and what they are made of."""
