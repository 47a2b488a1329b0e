"""Studies of training runs: experiments compare several, the diagnosis says why one stays smooth.

The two know nothing of each other; `controls` has what is wrong on purpose, to compare with.
"""
