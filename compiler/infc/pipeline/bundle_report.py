"""`report.html` of a bundle: what a compile decided and built, and what its last load test measured.

It lies beside the bundle's files and is no part of it: no manifest, lock or signature holds it, so a load test may
renew it at any time.
"""

from pathlib import Path

from infc.diag import ToolError
from infc.emit.manifest import REPORT_NAME
from infc.emit.write import write_report
from infc.ir.edge_validation import EdgeValidation
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.pipeline.bundles import Emission
from infc.pipeline.plan import spec_path_in_workspace
from infc.pipeline.settled import SettledOnnx
from infc.report.compile_html import render_bundle_report
from infc.report.compiled import CompiledEntry
from infc.report.load_test import differ_in_load_tests_only, with_load_test
from infc.spec import LoadedSpec


def bundle_report(loaded: LoadedSpec, emission: Emission, folder: Path) -> bytes:
    """The page of an output folder; a compile that changes nothing leaves the load tests that are in it already.

    Takes some hundredths of a second, of a language model up to a second. Without a load test the same inputs give the
    same bytes.
    """
    path = spec_path_in_workspace(loaded)
    release = emission.release.numbered.release if emission.release else None
    entries = [
        CompiledEntry(
            path=path,
            target=target,
            folder=emission.folder,
            change=None,
            problem=settled.problem,
            plan=settled.plan,
            lowered=settled.lowered if isinstance(settled, SettledOnnx) else settled.checkpoint,
            engine=settled.engine if isinstance(settled, SettledOnnx) else None,
            evidence=settled.evidence,
            measurement=None,
            files=tuple(sorted(emission.bundle.files)),
            release=release,
        )
        for target, settled in emission.decided
    ]
    page = render_bundle_report(entries)
    there = _page_in(folder)
    return (there if there is not None and differ_in_load_tests_only(there, page) else page).encode()


def renew_report(bundle: Path, measured: Measurement | LlmMeasurement | EdgeValidation) -> str | None:
    """Put a load test into the page of its bundle, in place of an earlier one.

    Returns: why the page is as it was; None where it was renewed, or holds the same already.
    """
    page = _page_in(bundle)
    if page is None:
        return f"{bundle} has no {REPORT_NAME} to renew: compile it again for one"
    renewed = with_load_test(page, measured)
    if renewed is None:
        return f"{bundle / REPORT_NAME} has no place for this load test: compile it again for one"
    try:
        write_report(bundle, renewed.encode())
    except ToolError as error:
        return str(error)
    return None


def _page_in(folder: Path) -> str | None:
    try:
        return (folder / REPORT_NAME).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
