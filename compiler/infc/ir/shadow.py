"""How a tritonserver captures live requests for a quality shadow: names, options and folders, in one place.

Triton itself samples: its trace writes the tensors of one request in every N to a file of its own, and does nothing at
all for the others. The shadow model reads the files behind the answers. Captures lie in a folder in memory of a fixed
size: where nobody reads them any more, writing fails, and nothing else does.
"""

from pathlib import PurePosixPath

FOLDER = "/run/infc-shadow"
"""Where the captures of a server lie: a folder in memory that the launch command or the pod mounts."""
FOLDER_VARIABLE = "INFC_SHADOW_FOLDER"
"""Environment variable that names another folder."""
FOLDER_BYTES = 64 << 20
"""Size of that folder: seconds of captures at any sampled share that a plan allows."""
BUSY_SHARE = 0.2
"""The most of one core that the reference takes: it rests four times as long as it ran."""
QUEUE_LENGTH = 64
"""Captures that may wait; what comes while so many do is dropped and counted."""
SETTINGS_NAME = "shadow.json"
"""The settings of a shadow, beside its program in the model repository."""


def shadow_name(model: str) -> str:
    """The model that compares.

    >>> shadow_name("encoder")
    'encoder-shadow'
    """
    return f"{model}-shadow"


def reference_name(model: str) -> str:
    """The unquantised model that it compares with.

    >>> reference_name("encoder")
    'encoder-reference'
    """
    return f"{model}-reference"


def capture_prefix(folder: str, model: str) -> str:
    """What the captures of a model are called: a number follows after a dot.

    >>> capture_prefix(FOLDER, "encoder")
    '/run/infc-shadow/encoder'
    """
    return str(PurePosixPath(folder) / model)


def capture_options(model: str, one_in: int, *, folder: str = FOLDER) -> tuple[str, ...]:
    """The tritonserver options that have one request in every `one_in` captured, each in a file of its own.

    Source: Triton's trace extension: `level=TENSORS` writes tensors, `TIMESTAMPS` also says of which model they are.
    """
    return (
        "--trace-config=mode=triton",
        f"--trace-config=triton,file={capture_prefix(folder, model)}",
        "--trace-config=triton,log-frequency=1",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=level=TENSORS",
        f"--trace-config=rate={one_in}",
    )
