"""A file of the artifact of another run, read in memory: nothing of it is unpacked, let alone run.

The artifact comes from a job that ran the code of a fork: sizes are checked before and while reading.

Source: GitHub Docs, REST API, "Workflow artifacts": the archive is a zip file behind a redirect to a store, which must
not get the token.
"""

import http.client
import io
import urllib.parse
import zipfile
import zlib

from infc.diag import ToolError
from infc.pipeline.review_comment.rest import RestApi, expected, fetch

MAX_ARCHIVE_BYTES = 8 << 20
MAX_FILE_BYTES = 32 << 20


def artifact_file(api: RestApi, repository: str, run: int, *, artifact: str, file: str) -> bytes | None:
    """The bytes of `file` in the run's newest artifact of that name; None where the run left none.

    Raises:
        NotAllowedError: the token may not read artifacts.
        ToolError: it is too large, no zip file, or does not hold the file.
    """
    path = f"/repos/{repository}/actions/runs/{run}/artifacts"
    reply = api.ask("GET", path, query={"name": artifact, "per_page": 100})
    found = expected(reply, "listing the artifacts of the run", 200).json().get("artifacts", [])
    alive = [each for each in found if each.get("name") == artifact and not each.get("expired")]
    if not alive:
        return None
    newest = max(alive, key=lambda each: int(each["id"]))
    if int(newest.get("size_in_bytes") or 0) > MAX_ARCHIVE_BYTES:
        raise ToolError(f"the artifact {artifact} is larger than {MAX_ARCHIVE_BYTES >> 20} MiB")
    return _member(_archive(api, repository, int(newest["id"])), file)


def _archive(api: RestApi, repository: str, id: int) -> bytes:
    reply = api.ask("GET", f"/repos/{repository}/actions/artifacts/{id}/zip")
    if reply.status == 200:
        return reply.body
    expected(reply, "fetching the artifact", 302)
    location = reply.headers.get("location", "")
    is_as_safe = urllib.parse.urlsplit(location).scheme == "https" or api.url.startswith("http:")
    if not is_as_safe:
        raise ToolError("the artifact is not behind https")
    try:
        stored = fetch(location, max_bytes=MAX_ARCHIVE_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ToolError(f"the store of the artifact does not answer: {type(error).__name__}") from error
    return expected(stored, "fetching the artifact", 200).body


def _member(archive: bytes, file: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened, opened.open(file) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except KeyError:
        raise ToolError(f"the artifact holds no {file}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ToolError(f"the artifact is no zip file that can be read: {type(error).__name__}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ToolError(f"{file} of the artifact is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data
