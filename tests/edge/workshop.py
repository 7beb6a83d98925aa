"""Where bundles are made: `infc compile` and `infc sign` on a copy of an example spec, without any network."""

import shutil
import subprocess
import sys
from pathlib import Path

from infc.emit.supply.signing import new_key
from tests.edge.loopback import Loopback

INFC = str(Path(sys.executable).with_name("infc"))
NAME = "dock-camera"
EXAMPLE = Path(__file__).parents[2] / "specs" / "fashion-mnist"
SPEC = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: dock-camera}
model: {onnx: resnet8.onnx}
slo: {latency: {p90: %s}}
accuracy: {dataset: test-2000.npz, metric: top1, max_drop: 1%%}
quantization: {calibration: calibration-256.npz, method: minmax}
workload: {arrival: {constant: {streams: 2}}, rate: 2/s}
constraints: {hardware: [jetson-orin-nx-16gb], max_power: 25W}
objective: energy
deploy: {server: jetson, jetson: {jetpack: "6.2", power_mode: 15W}}
"""


class Workshop:
    """A folder with a spec, its lock and its key."""

    def __init__(self, folder: Path, network: Loopback) -> None:
        folder.mkdir()
        self.folder, self.network = folder, network
        for name in ("resnet8.onnx", "test-2000.npz", "calibration-256.npz"):
            shutil.copyfile(EXAMPLE / name, folder / name)
        self.key = folder / "release.key"
        self.public = new_key(self.key)

    def infc(self, *words: str) -> str:
        """Run infc where there is no network; it must succeed."""
        command = [*self.network.prefix, INFC, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def compile(self, limit: str, *options: str) -> Path:
        """The signed bundle of the spec with this limit; kept, so that the next can be a delta of it."""
        (self.folder / "spec.infc.yaml").write_text(SPEC % limit)
        self.infc("compile", "spec.infc.yaml", "--output", "dist", *options)
        self.infc("sign", f"dist/{NAME}", "--key", str(self.key))
        (made,) = [path for path in self._archives() if ".from-" not in path.name]
        kept = self.folder / "kept" / made.name
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(made, kept)
        return kept

    def deltas(self) -> list[Path]:
        """The deltas that the last compile wrote."""
        return [path for path in self._archives() if ".from-" in path.name]

    def _archives(self) -> list[Path]:
        return sorted((self.folder / "dist" / NAME).glob("*.tar.zst"))
