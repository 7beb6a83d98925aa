"""The page beside a bundle after a load test: `infc validate` and `infc compile --validate` renew it alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from infc.ir.edge_validation import EdgeValidation
    from infc.ir.llm_measurement import LlmMeasurement
    from infc.ir.measurement import Measurement


def renew_page(bundle: Path, measured: Measurement | LlmMeasurement | EdgeValidation) -> None:
    """Put what was measured into `report.html` of the bundle; where that cannot be, say so on standard error."""
    from infc.pipeline.bundle_report import renew_report

    refusal = renew_report(bundle, measured)
    if refusal is not None:
        click.echo(f"the report was not renewed: {refusal}", err=True)
