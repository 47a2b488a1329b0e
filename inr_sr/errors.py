"""The one exception that means the request, not the program, is wrong."""


class InputError(ValueError):
    """A mistake in a request: the message names the bad value and what is allowed.

    Command lines print it as one line and exit with status 2.
    """
