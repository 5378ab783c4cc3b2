"""What a browser is told with every answer: what a page may load, who may frame it, what it tells of where it was."""

from flask import Flask, Response

# Nothing on a page is inline, and everything comes from this service.
_FROM_HERE = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
READ_ONLY = f"{_FROM_HERE}; form-action 'none'"
WITH_SCRIPT = f"{_FROM_HERE}; script-src 'self'; connect-src 'self'; form-action 'self'"


def guard_pages(app: Flask) -> None:
    """Adds the headers to every answer; a page that needs more than reading has set its own policy before."""

    @app.after_request
    def guarded(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        if response.mimetype == "text/html":
            headers.setdefault("Referrer-Policy", "no-referrer")
            if "Content-Security-Policy" not in headers:
                headers["Content-Security-Policy"] = READ_ONLY
            if "frame-ancestors 'none'" in headers["Content-Security-Policy"]:
                headers["X-Frame-Options"] = "DENY"
        return response
