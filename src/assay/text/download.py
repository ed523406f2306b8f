"""One file from an address, by pooch."""

import sys
from pathlib import Path

from assay.errors import DataError

CONNECT, READ = 10.0, 30.0  # seconds: for the connection, and for each next piece
PIECE = 2**16  # bytes


def download(url: str, file: Path, instead: str) -> None:
    """Write what lies at an address into `file`, with a progress bar where a person looks on.

    Nothing is tried twice. Raises DataError with the cause and what to do `instead`; part of the file may be there then.
    """
    import pooch  # noqa: PLC0415  a fifth of a second with the next, which commands without a download need not wait
    import requests  # noqa: PLC0415  by which pooch downloads, and whose errors it passes on

    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=PIECE, timeout=(CONNECT, READ))
    try:
        fetch(url, str(file), None)
    except (requests.RequestException, ValueError) as error:  # the latter for addresses that its own library refuses
        answer = getattr(error, "response", None)
        if answer is not None:
            answer.close()  # which pooch leaves open where the server refuses
        raise DataError(f"corpus.url: {url} cannot be downloaded ({_cause(error)}); {instead}") from None


def _cause(error: Exception) -> str:
    from requests import exceptions  # noqa: PLC0415  see above

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    causes = {
        exceptions.SSLError: "its certificate is not accepted",
        exceptions.Timeout: "no answer in time",
        exceptions.ChunkedEncodingError: "the connection broke off",
        exceptions.ConnectionError: "no connection",
    }
    return next((cause for kind, cause in causes.items() if isinstance(error, kind)), str(error))
