"""The contract that lies in a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from infc.diag import ToolError
from infc.validate.contract import CONTRACT_NAME

C = TypeVar("C")


def bundled_contract(bundle: Path, parse: Callable[[bytes], C], server: str) -> C:
    """What `parse` reads of a bundle's contract; `server` is the name of the one that the bundle is to be for.

    Raises:
        ToolError: the folder holds none, or it cannot be read.
    """
    path = bundle / CONTRACT_NAME
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ToolError(
            f"{bundle} is not a bundle that can be validated: it has no {CONTRACT_NAME}",
            help=f"name a folder that `infc compile` wrote for {server}, such as dist/<spec name>",
        ) from error
    except ValueError as error:
        raise ToolError(f"{path} cannot be read: {error}", help="compile the spec again") from error
