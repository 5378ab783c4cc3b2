"""What the form's pages are refused with. Every message is for the person before the screen, and names nobody."""


class ProblemError(Exception):
    """A page that cannot be shown: an HTTP status, what is the matter, and what to do."""

    def __init__(self, status: int, title: str, advice: str) -> None:
        super().__init__(title)
        self.status, self.title, self.advice = status, title, advice


class SignedOutError(Exception):
    """The sign-in has run out: the session, or the token in the EHR's eyes."""


LAUNCH_AGAIN = "Open the form again from the order."
