"""`infc schema`: the JSON Schema of every file format and report."""

import importlib
from pathlib import Path

import click

from infc.cli.edge import OK

SCHEMAS: tuple[tuple[str, str, str], ...] = (
    # (name, "module:function", what the schema describes)
    ("spec", "infc.spec.schema:spec_schema", "*.infc.yaml"),
    ("spec-part", "infc.spec.schema:spec_part_schema", "infc-defaults.yaml, and files that specs extend"),
    ("merged-specs", "infc.report.merged_spec:merged_specs_schema", "infc check --show-merged --format json"),
    ("diagnostics", "infc.report.diagnostics_json:diagnostics_schema", "infc check --format json"),
    ("explanations", "infc.report.explanations:explanations_schema", "infc explain --format json"),
    ("plan", "infc.report.plan_schema:plan_schema", "infc plan --format json"),
    ("compile", "infc.report.compile_schema:compile_schema", "infc compile --format json"),
    ("predict", "infc.report.predict_schema:predict_schema", "infc predict --format json"),
    ("simulation", "infc.report.simulation_schema:simulation_schema", "infc simulate --format json"),
    ("arrivals", "infc.report.trace_fit_schema:arrivals_schema", "infc simulate arrivals --format json"),
    (
        "token-simulation",
        "infc.report.simulation_tokens_schema:token_simulation_schema",
        "infc simulate vllm --format json",
    ),
    ("calibration", "infc.report.service_time_schema:calibration_schema", "infc calibrate --format json"),
    (
        "step-calibration",
        "infc.report.step_time_schema:step_calibration_schema",
        "infc calibrate --format json of a language model",
    ),
    ("measurement", "infc.report.measurement_schema:measurement_schema", "infc validate --format json"),
    (
        "llm-measurement",
        "infc.report.llm_measurement_schema:llm_measurement_schema",
        "infc validate --format json, of a language model",
    ),
    (
        "edge-validation",
        "infc.report.edge_json:edge_validation_schema",
        "infc validate --format json, on an edge device",
    ),
    ("lock", "infc.lock.schema:lock_schema", "infc.lock"),
    ("lock-check", "infc.report.lock_check:lock_check_schema", "infc lock --check --format json"),
    ("diff", "infc.report.diff_json:diff_schema", "infc diff --format json, infc lock --format json"),
    ("drift", "infc.report.drift_json:drift_schema", "infc drift --format json"),
    ("fleet-drift", "infc.report.drift_fleet:fleet_drift_schema", "infc drift --format json, of several devices"),
    ("signed", "infc.report.signed:signed_schema", "infc sign --format json"),
    ("verification", "infc.report.inspection:verification_schema", "infc verify --format json"),
    ("policy", "infc.spec.policy:policy_schema", "infc-policy.yaml"),
    ("job", "infc.build.job_schema:job_schema", "job.json of infc compile --builder job"),
    ("attestation", "infc.build.job_schema:attestation_schema", "attestation.json beside a built engine"),
    ("edge_manifest", "infc.build.edge_schema:edge_manifest_schema", "manifest.json of a bundle for edge devices"),
    ("edge_samples", "infc.build.edge_schema:edge_samples_schema", "verify/samples.json of a bundle for edge devices"),
    ("edge_acceptance", "infc.build.edge_schema:edge_acceptance_schema", "acceptance.json on an edge device"),
    ("worker-build", "infc.report.worker_json:worker_build_schema", "infc worker build --format json"),
    ("worker-probe", "infc.report.worker_json:worker_probe_schema", "infc worker probe --format json"),
    ("profile", "infc.resolve.profile_schema:profile_schema", "infc-profiles/*.json"),
    ("hardware", "infc.resolve.targets.schema:hardware_schema", "targets/hardware/*.yaml"),
    ("prices", "infc.resolve.targets.schema:prices_schema", "targets/prices/*.yaml"),
    ("schemas", "infc.report.made_json:schema_list_schema", "infc schema --format json"),
    ("starter", "infc.report.made_json:starter_schema", "infc init --format json"),
    ("new-key", "infc.report.made_json:new_key_schema", "infc sign --new-key --format json"),
    ("completion", "infc.report.made_json:completion_schema", "infc completion --format json"),
    ("report", "infc.report.change_reports:report_schema", "infc report --format json"),
    ("targets", "infc.report.targets_json:targets_schema", "infc targets list|show --format json"),
)
_NAMES = tuple(name for name, _, _ in SCHEMAS)


@click.command(name="schema")
@click.argument("name", required=False, metavar="[NAME]", type=click.Choice(_NAMES))
@click.option(
    "--write",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write every schema to DIR/<name>.schema.json instead of printing one.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the list; a schema is JSON in any case.",
)
def command(name: str | None, directory: Path | None, format: str) -> int:
    r"""Print the JSON Schema of a file format or report. Without NAME, list them.

    Editors read the spec's schema from a first line such as

    \b
      # yaml-language-server: $schema=../schemas/spec.schema.json

    \b
    Examples:
      infc schema spec > spec.schema.json
      infc schema --write schemas/
    """
    if directory is not None:
        if name is not None:
            raise click.UsageError("give either NAME or --write DIR, not both")
        from infc.resolve.atomic_write import write_text_atomically

        texts = {each: schema_text(each) for each in _NAMES}
        for each, text in texts.items():
            write_text_atomically(directory / f"{each}.schema.json", text)
        click.echo(f"wrote {len(_NAMES)} schemas to {directory}", err=True)
        if format == "json":
            _print_list(directory)
        return OK
    if name is None and format == "json":
        _print_list(None)
        return OK
    if name is None:
        width = max(len(each) for each in _NAMES)
        click.echo("\n".join(f"{each:<{width}}  {what}" for each, _, what in SCHEMAS))
        return OK
    click.echo(schema_text(name), nl=False)
    return OK


def _print_list(folder: Path | None) -> None:
    from infc.report.made_json import schema_list_json

    click.echo(schema_list_json([(each, what) for each, _, what in SCHEMAS], None if folder is None else str(folder)))


def schema_text(name: str) -> str:
    """The schema of that name as JSON text, ending in a newline; the bytes of `schemas/<name>.schema.json`."""
    import json

    location, what = next((where, what) for each, where, what in SCHEMAS if each == name)
    module, function = location.split(":")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://infc.dev/schemas/{name}.schema.json",
        "title": what,
        **getattr(importlib.import_module(module), function)(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
