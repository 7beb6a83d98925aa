"""Reads one HTTP/1.1 answer that is a stream of server-sent events, from pieces cut anywhere.

Sources: RFC 9112 (messages, chunked coding); HTML Living Standard, "Server-sent events" (lines, fields).
"""

_HEAD_LIMIT = 64 << 10
_LINE_LIMIT = 32 << 20
_KEPT_BODY = 2000


class StreamError(Exception):
    """The bytes are no answer of a web server, or end too early."""


class EventDecoder:
    r"""Server-sent events from bytes cut anywhere: the content of the `data` fields, event by event.

    >>> decoder = EventDecoder()
    >>> decoder.feed(b"data: one\n\nda"), decoder.feed(b"ta: two\r\n: a remark\r\n\r\n")
    ([b'one'], [b'two'])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, content: bytes) -> list[bytes]:
        """The events that these bytes complete.

        Raises:
            StreamError: a line without end.
        """
        found: list[bytes] = []
        lines = (self._rest + content).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_LIMIT:
            raise StreamError("an event without end")
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].removeprefix(b" "))
            elif not text and self._data:
                found.append(b"\n".join(self._data))
                self._data = []
        return found


class ResponseReader:
    """One answer, fed piece by piece. `status` is 0 until its first line is there; `body` is the start of an error's.

    `is_complete` says that nothing more belongs to it, `is_reusable` that the connection may carry another request.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._events = EventDecoder()
        self._is_chunked = False
        self._is_closing = False
        self._left: int | None = None
        self._is_in_trailer = False
        self._has_head = False
        self.status = 0
        self.body = b""
        self.is_complete = False

    @property
    def is_reusable(self) -> bool:
        """Whether the connection stays open for another request."""
        return self.is_complete and not self._is_closing and not self._buffer

    def feed(self, content: bytes) -> list[bytes]:
        """The events that these bytes complete; none where the status is not 200.

        Raises:
            StreamError: these are no bytes of an HTTP answer.
        """
        self._buffer += content
        if not self._has_head and not self._read_head():
            return []
        found: list[bytes] = []
        for piece in self._pieces():
            if self.status == 200:
                found += self._events.feed(piece)
            elif len(self.body) < _KEPT_BODY:
                self.body += piece[: _KEPT_BODY - len(self.body)]
        return found

    def end(self) -> None:
        """The connection was closed.

        Raises:
            StreamError: the answer is not complete.
        """
        if self.is_complete:
            return
        if not self._has_head or self._is_chunked or self._left:
            raise StreamError("the server closed the connection in the middle of an answer")
        self.is_complete = self._is_closing = True

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise StreamError("a head without end")
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        parts = first.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise StreamError(f"not an HTTP answer: {first[:60]!r}")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        self.status = int(parts[1])
        if 100 <= self.status < 200:
            self.status = 0
            return self._read_head()
        self._is_chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        self._is_closing = b"close" in headers.get(b"connection", b"").lower() or parts[0] == b"HTTP/1.0"
        length = headers.get(b"content-length")
        if not self._is_chunked and length is not None:
            if not length.isdigit():
                raise StreamError("a length that is no number")
            self._left = int(length)
        self._has_head = True
        return True

    def _pieces(self) -> list[bytes]:
        """What the buffer holds of the body, the coding taken off."""
        if not self._is_chunked:
            return self._plain()
        found: list[bytes] = []
        while not self.is_complete:
            if self._left is None:
                if not self._read_size():
                    break
            elif self._left:
                piece = bytes(self._buffer[: self._left])
                if not piece:
                    break
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                found.append(piece)
            else:
                if len(self._buffer) < 2:
                    break
                del self._buffer[:2]
                self._left = None
        return found

    def _plain(self) -> list[bytes]:
        piece = bytes(self._buffer if self._left is None else self._buffer[: self._left])
        del self._buffer[: len(piece)]
        if self._left is not None:
            self._left -= len(piece)
            self.is_complete = self._left == 0
        return [piece] if piece else []

    def _read_size(self) -> bool:
        """Take a chunk's size off the buffer, or a line of the trailer; False when its line is not complete."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise StreamError("a chunk's size without end")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._is_in_trailer:
            self.is_complete = not line
            return True
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise StreamError(f"not a chunk's size: {line[:20]!r}") from None
        if size < 0:
            raise StreamError("a chunk of negative size")
        self._is_in_trailer = size == 0
        self._left = size or None
        return True
