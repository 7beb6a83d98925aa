"""The header of a TensorRT-RTX engine: enough to notice a truncated or foreign file without a GPU.

Source: observed in engines of TensorRT-RTX 1.7.1 (undocumented, so it is only checked for that minor version): magic
"vtrt" at 0, u64 file size at 16, u64 weight bytes at 56, all little endian. The library itself does not notice
truncation on a machine without a GPU.
"""

import struct

MAGIC = b"vtrt"
HEADER_BYTES = 64
CHECKED_VERSIONS = ("1.7.",)


def header_problem(head: bytes, size_bytes: int, version: str) -> str | None:
    """What is wrong with an engine file, in words; None when its header agrees with the file.

    `head` is at least the first 64 bytes; `version` is that of the library that wrote it.

    >>> header_problem(b"", 0, "1.7.1.116")
    'the engine is shorter than its header'
    """
    if not version.startswith(CHECKED_VERSIONS):
        return None
    if len(head) < HEADER_BYTES:
        return "the engine is shorter than its header"
    if not head.startswith(MAGIC):
        return "the file does not start like a TensorRT-RTX engine"
    (stated,) = struct.unpack_from("<Q", head, 16)
    return None if stated == size_bytes else f"the header says {stated} bytes, the file has {size_bytes}"
