"""A language model's bundle on a device that is a plain folder: installed, measured token by token, rolled back.

The service is a stand-in of vLLM that reads the emitted serve.yaml through the emitted compose.yaml; the program on the
device, its agent, the bundle and the load are the real ones.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.build.edge_acceptance_json import from_json as acceptance_from_json
from infc.build.edge_release_json import MANIFEST_NAME, to_json
from tests.edge.arm64_root import FOLDER_VARIABLE
from tests.edge.field import Field
from tests.edge.releases import Releases
from tests.edge.root import plain_device
from tests.edge.test_local_root import free_port
from tests.llm_edge import emitted, load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it; {FOLDER_VARIABLE} is not set"),
]

QUICK = {"load.rate_rps": 8.0, "load.warm_up_s": 1.0, "load.seconds_at_most": 60.0, "service.ready_timeout_s": 60.0}


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """Releases of the tiny model for an Orin NX under JetPack 6.2, whose server listens on a free port."""
    spec = load(tmp_path / "spec", "jetson-orin-nx-16gb", deploy='jetpack: "6.2", power_mode: 15W')
    drafted, problems = emitted(spec)
    assert drafted is not None, problems
    files = {path: c if isinstance(c, bytes) else c.read_bytes() for path, c in drafted.files.items()}
    port = free_port()
    files["compose.yaml"] = files["compose.yaml"].replace(b"127.0.0.1:8000:8000", f"127.0.0.1:{port}:8000".encode())
    stated = json.loads(to_json(drafted.release))
    stated["service"]["url"] = f"http://127.0.0.1:{port}"
    for name in ("ttft", "tpot"):
        stated["slo"][name] = [{"percentile": 90.0, "limit_s": stated["slo"][name][0]["limit_s"]}]
    return Releases(folder=tmp_path / "releases", base={**files, MANIFEST_NAME: json.dumps(stated).encode()})


@pytest.fixture
def field(tmp_path: Path, releases: Releases) -> Iterator[Field]:
    """A device whose Python finds nothing but its standard library."""
    device = plain_device(tmp_path / "device")
    yield Field(device=device, python=(sys.executable, "-I", "-S"), name=releases.name, key=releases.public)
    device.stop()


def test_a_release_is_measured_by_its_tokens_and_makes_way_when_they_are_late(field: Field, releases: Releases) -> None:
    """In service with both objectives judged; a slower one is rolled back to it, and says which objective it missed."""
    answer = field.first_install(releases.archive("1", changes=QUICK))
    assert answer.code == 0, answer.words
    told = (field.device.file("/opt/infc/helper/current") / "acceptance.json").read_bytes()
    acceptance, problems = acceptance_from_json(told)
    assert acceptance is not None, problems
    assert acceptance.verdict == "pass"
    assert {entry.metric for entry in acceptance.verdicts} == {"ttft_p90", "tpot_p90"}
    assert acceptance.engine is None
    assert acceptance.load.failed == 0
    assert field.device.power_mode() == "15W"
    field.device.set(token_s=0.3)
    missed = field.install(releases.archive("2", changes=QUICK))
    assert missed.code == 40, missed.words
    assert "tpot" in missed.words
    field.device.set(token_s=None)
    current = json.loads((field.device.file("/opt/infc/helper/current") / MANIFEST_NAME).read_text())
    assert current["version"] == "1"
