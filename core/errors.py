"""Errors that a person can act on: one sentence each, with the way out in it."""


class UserError(Exception):
    """Bad input. The message is one clear sentence that says what is wrong and what to do about it."""


class Diverged(UserError):
    """The loss or the gradient stopped being a finite number."""
