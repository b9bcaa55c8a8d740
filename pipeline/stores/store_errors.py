"""What a store refused, in words: which bucket or right is missing, and what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from indexes.errors import NearfarError, OutputError
from pipeline.stores.store_addresses import Address

_NO_BUCKET = "NoSuchBucket|ContainerNotFound"
# What servers call it (the `<Code>` of S3's answers) comes first; what a client says of a connection comes after.
_WORDS = (
    (
        _NO_BUCKET,
        "there is no such bucket (or not in that region). Correct the name, or make the bucket",
    ),
    (
        r"RequestTimeTooSkewed|RequestExpired",
        "the clock of this machine is not the store's. Set this machine's clock right",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|\b301\b|\b307\b",
        "the bucket is in another region, or behind another endpoint. Set AWS_REGION (or AWS_ENDPOINT_URL) to its own",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|TokenRefreshRequired|\b401\b",
        "the store does not know these credentials, or they have expired. Set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where there is one) again",
    ),
    (
        r"AccessDenied|AllAccessDisabled|AccountProblem|\b403\b",
        "the credentials do not allow this. Give them the right to list, read, write and delete there",
    ),
    (r"QuotaExceeded|EntityTooLarge|\b507\b", "the store takes no more. Make room there, or raise its quota"),
    (
        r"URL scheme is not allowed|BadScheme",
        "the endpoint is plain http. Set AWS_ALLOW_HTTP=true if that is meant",
    ),
    (
        r"NotImplemented|\b501\b|not supported",
        "the store has no conditional writes (If-None-Match and If-Match), which commits need. Use one that has them",
    ),
    (
        r"instance-metadata|169\.254\.169\.254|latest/api/token|CredentialsNotLoaded|missing credentials",
        "no credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
)
_LASTING = (
    "NoSuchBucket",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "NotImplemented",
    "BadScheme",
)
_TORN = ("EntityTooSmall", "IncompleteBody", "BadDigest", "InvalidPart", "NoSuchUpload")
_UNREACHED = (
    "the store did not answer as it should, however often it was asked ({why}). Look whether the endpoint "
    "(AWS_ENDPOINT_URL) is right and up, and run again to resume"
)


@contextlib.contextmanager
def store_errors(address: Address, doing: str) -> Iterator[None]:
    """Turn what a client of a store raises into an `OutputError` with what to do; `doing` is a verb: 'read'.

    A missing object (`FileNotFoundError`) and what tells who came first pass through: they are answers.
    """
    try:
        yield
    except NearfarError:
        raise
    except Exception as error:
        missing = isinstance(error, FileNotFoundError) and not re.search(_NO_BUCKET, str(error))
        if missing or not is_of_a_store(error):
            raise
        raise OutputError(f"cannot {doing} '{address}': {in_words(str(error))}") from error


def in_words(said: str) -> str:
    """Say what a client's message means and what to do; the message itself may hold a signed URL."""
    for pattern, words in _WORDS:
        if re.search(pattern, said):
            return words
    code = re.search(r"status code: (\d{3})|<Code>(\w+)</Code>", said)
    return _UNREACHED.format(why=(code[1] or code[2]) if code else "no answer")


def is_of_a_store(error: Exception) -> bool:
    """Tell whether an error came out of the client's library."""
    ours = any(kind.__module__ == "obstore.exceptions" for kind in type(error).__mro__)
    return ours or (isinstance(error, FileNotFoundError) and error.errno is None)


def refuse_for_good(address: Address, error: Exception) -> None:
    """Tell a bucket that is not there, and what else will not change by trying again, from what may pass.

    Raises:
        OutputError: If it will not change.
    """
    said = str(error)
    if any(word in said for word in _LASTING):
        raise OutputError(f"cannot use '{address}': {in_words(said)}") from error


def is_torn(error: Exception) -> bool:
    """Tell whether a store says that a piece of an upload did not arrive as it was sent: it is to be begun anew."""
    return is_of_a_store(error) and any(word in str(error) for word in _TORN)
