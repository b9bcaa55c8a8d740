"""What a store refused, in words: which bucket or right is missing, and what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from indexes.errors import NearfarError, OutputError
from pipeline.stores.store_addresses import Address

_NO_BUCKET = "NoSuchBucket|ContainerNotFound"
# By what a server calls it: the code in its answer, or else the status. Of a message nothing else counts for these: it
# also holds how many milliseconds the question took, and the names of objects.
_CODES = (
    (
        f"{_NO_BUCKET}|ContainerBeingDeleted",
        "there is no such bucket (or not in that region). Correct the name, or make the bucket",
    ),
    (
        "RequestTimeTooSkewed|RequestExpired",
        "the clock of this machine is not the store's. Set this machine's clock right",
    ),
    (
        "PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint(Exception)?|301|307",
        "the bucket is in another region, or behind another endpoint. Set AWS_REGION (or {endpoint}) to its own",
    ),
    (
        "InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|TokenRefreshRequired|AuthenticationFailed|"
        "InvalidAuthenticationInfo|AuthenticationRequired|401",
        "the store does not know these credentials, or they have expired. Set {keys} again",
    ),
    (
        "AccessDenied|AllAccessDisabled|AccountProblem|Authorization(Permission|Protocol|Resource)?(Failure|Mismatch)|"
        "403",
        "the credentials do not allow this. Give them the right to list, read, write and delete there",
    ),
    ("KeyTooLongError", "names there are longer than the store takes. Name a folder with a shorter one"),
    ("QuotaExceeded|EntityTooLarge|507", "the store takes no more. Make room there, or raise its quota"),
    (
        "NotImplemented|501",
        "the store has no conditional writes (If-None-Match and If-Match), which commits need. Use one that has them",
    ),
)
# By the sentences of the client's library, where no answer of the server counts.
_SENTENCES = (
    (r"this normally indicates an incorrectly configured region", _CODES[2][1]),
    (r"^Operation (?:.+ )?not (?:supported|yet implemented)", _CODES[-1][1]),
    (
        r"URL scheme is not allowed|\bBadScheme\b",
        "the endpoint is plain http. Set {http}=true if that is meant",
    ),
    (
        r"//169\.254\.169\.254/|/latest/(?:api/token|meta-data/)|/computeMetadata/|CredentialsNotLoaded|"
        r"missing credentials|Account must be specified",
        "no credentials were found. Set {keys}{profile}",
    ),
    (
        r"nable to (?:open|decode) service account|credential error",
        "the credentials cannot be read. Set {keys} again",
    ),
    (
        r"(?:invalid path|illegal character sequence|empty path segment)",
        "a name there has an empty part, '.', '..' or a control character between its slashes, which no file system "
        "has. Rename that object, or name a folder without it",
    ),
)
_NO_BUCKET_CODES = frozenset(_NO_BUCKET.split("|"))
_CODE = re.compile(r"<Code>(\w+)</Code>|status code: (\d{3})|\(code: (\w+)\)")
_PASSING = frozenset(("QuotaExceeded", "507"))
"""What may pass while one waits: room is made."""
_NAMES = {
    "s3": {
        "keys": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where there is one)",
        "profile": ", or AWS_PROFILE to a profile with keys of its own (those of a role or of SSO: aws configure "
        "export-credentials --format env)",
        "endpoint": "AWS_ENDPOINT_URL",
        "http": "AWS_ALLOW_HTTP",
    },
    "gs": {
        "keys": "GOOGLE_APPLICATION_CREDENTIALS (a file), or GOOGLE_SERVICE_ACCOUNT_KEY",
        "profile": "",
        "endpoint": "GOOGLE_BASE_URL",
        "http": "GOOGLE_ALLOW_HTTP",
    },
    "az": {
        "keys": "AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        "profile": "",
        "endpoint": "AZURE_STORAGE_ENDPOINT",
        "http": "AZURE_ALLOW_HTTP",
    },
}
"""What the environment calls these, for each kind of store."""
_TORN = frozenset(("EntityTooSmall", "IncompleteBody", "BadDigest", "InvalidPart", "NoSuchUpload"))
_UNREACHED = (
    "the store did not answer as it should, however often it was asked ({why}). Look whether the endpoint "
    "({endpoint}) is right and up, and run again to resume"
)


@contextlib.contextmanager
def store_errors(address: Address, doing: str) -> Iterator[None]:
    """Turn what a client of a store raises into an `OutputError` with what to do; `doing` is a verb: 'read'.

    A missing object that was to be read (`FileNotFoundError`) passes through: that is an answer.
    """
    try:
        yield
    except NearfarError:
        raise
    except Exception as error:
        answer = doing == "read" and isinstance(error, FileNotFoundError)
        if (answer and _NO_BUCKET_CODES.isdisjoint(_codes(str(error)))) or not is_of_a_store(error):
            raise
        raise OutputError(f"cannot {doing} '{address}': {in_words(address, str(error))}") from error


def in_words(address: Address, said: str) -> str:
    """Say what a client's message means and what to do; the message itself may hold a signed URL."""
    codes = _codes(said)
    words = _words(said, codes) or _UNREACHED
    why = next((code for code in codes if code.isdigit()), codes[0] if codes else "no answer")
    return words.format(why=why, **_NAMES[address.scheme])


def _words(said: str, codes: list[str]) -> str | None:
    by_sentence = (words for sentence, words in _SENTENCES if re.search(sentence, said))
    by_code = (words for names, words in _CODES if any(re.fullmatch(names, code) for code in codes))
    return next(by_sentence, next(by_code, None))


def _codes(said: str) -> list[str]:
    """List what servers said, by their own names of it and by numbers."""
    told = said.partition("\n\nDebug source:")[0]
    return [next(filter(None, found)) for found in _CODE.findall(told)]


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
    codes = _codes(said)
    if _words(said, codes) is not None and _PASSING.isdisjoint(codes):
        raise OutputError(f"cannot use '{address}': {in_words(address, said)}") from error


def is_torn(error: Exception) -> bool:
    """Tell whether a store says that a piece of an upload did not arrive as it was sent: it is to be begun anew."""
    return is_of_a_store(error) and not _TORN.isdisjoint(_codes(str(error)))
