"""serve.yaml of Jetson bundles through vLLM's own parser and engine configuration, as if on the module's GPU.

Needs an environment with vLLM (INFC_VLLM names its command); no weights are read, no engine is made.
"""

from pathlib import Path

import pytest
import yaml

from infc.emit.jetson.emit import Drafted
from tests.emit.vllm.test_real_vllm import case, compare, resolved
from tests.llm_edge import TINY, emitted, load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MODULES = ("jetson-orin-nano-8gb", "jetson-agx-orin-64gb", "jetson-agx-thor-t5000")


def written(drafted: Drafted | None, folder: Path) -> Path:
    """The files that vLLM reads, on disk."""
    assert drafted is not None
    content = drafted.files["serve.yaml"]
    assert isinstance(content, bytes)
    folder.mkdir()
    (folder / "serve.yaml").write_bytes(content)
    return folder


def test_vllm_takes_what_is_emitted_for_every_module(tmp_path: Path) -> None:
    """The parser takes the file, and the engine would start with its values, on Orin and on Thor."""
    cases, folders = [], {}
    for hardware in MODULES:
        drafted, problems = emitted(load(tmp_path / hardware, hardware, deploy='jetpack: "7.2"'))
        assert not problems
        folders[hardware] = written(drafted, tmp_path / f"{hardware}-bundle")
        cases.append(case(folders[hardware], TINY, hardware))
    results = resolved(cases, tmp_path)
    for folder in folders.values():
        compare(yaml.safe_load((folder / "serve.yaml").read_text()), results[str(folder / "serve.yaml")])
