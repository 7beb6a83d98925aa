"""Backends that Triton does not bring: infc's own python-based ones, and the image that has what they need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.build.torch_target import TORCH_VERSION
from infc.emit.release import TritonRelease, triton_folder
from infc.emit.templates import render
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import EngineKind
from infc.validate.gpu import RUNNER_FILE

_CUDA_BINDINGS = "13.0.3"


@dataclass(frozen=True, kw_only=True)
class OwnBackend:
    """A backend of infc: its folder under `backends/`, the package that runs the engines, its short name in an image.

    `others` are further packages to install. `driver_note` says what a GPU host needs besides.
    """

    title: str
    package: str
    image_name: str
    others: tuple[str, ...]
    driver_note: str

    def version(self, engine: Engine | PendingEngine) -> str:
        """The version of the package that built the engine; empty when that is not known yet."""
        if not isinstance(engine, Engine):
            return ""
        return engine.facts.settings.get(TORCH_VERSION) or engine.facts.toolchain.get(self.package, "")

    def image(self, engine: Engine | PendingEngine, release: TritonRelease) -> str:
        """The image that launch.sh builds and starts, named after both versions."""
        return f"infc-triton-{self.image_name}:{release.release}-{self.version(engine) or 'latest'}"

    def packages(self, engine: Engine | PendingEngine) -> str:
        """What pip installs. Triton 24.10's Python backend answers empty tensors with numpy 2."""
        version = self.version(engine)
        pinned = f"{self.package}=={version}" if version else self.package
        return " ".join((pinned, *self.others, "'numpy<2'"))


_OWN_BACKENDS: Mapping[EngineKind, OwnBackend] = {
    "tensorrt_rtx": OwnBackend(
        title="tensorrt_rtx",
        package="tensorrt_rtx",
        image_name="rtx",
        others=(f"cuda-bindings=={_CUDA_BINDINGS}",),
        driver_note=" and a driver for CUDA 13 (580 or newer)",
    ),
    "torch_inductor": OwnBackend(
        title="torch_inductor",
        package="torch",
        image_name="torch",
        others=(),
        driver_note=" and a driver for the CUDA version of the torch that is installed",
    ),
}


def own_backend_of(kind: EngineKind) -> OwnBackend | None:
    """The backend of infc that runs engines of a kind; None where Triton has one."""
    return _OWN_BACKENDS.get(kind)


def own_backend_files(engine: Engine | PendingEngine, release: TritonRelease) -> dict[str, bytes | Path]:
    """The backend and the Dockerfile that installs what it needs; nothing where Triton has a backend itself."""
    own = own_backend_of(engine.kind)
    if own is None:
        return {}
    folder = f"backends/{own.title}"
    values = {"container": release.container, "packages": own.packages(engine), "backend": own.title}
    files: dict[str, bytes | Path] = {
        f"{folder}/model.py": (triton_folder() / folder / "model.py").read_bytes(),
        "Dockerfile": render(triton_folder() / "templates", "Dockerfile.j2", values),
    }
    if engine.kind == "tensorrt_rtx":
        files[f"{folder}/engine_runner.py"] = RUNNER_FILE.read_bytes()
    return files
