"""Every precision of the example models: accuracy through the gate, TensorRT-RTX engines for every SM it builds for.

For each model (`make models` fetches the larger ones; those that are absent are left out) and each precision, infc
lowers the model, measures its accuracy against the FP32 model on the spec's data (paired, with intervals), and builds
an engine for one device of each compute capability, batches 1 to 32. What a builder refuses is listed in its own words.
Writes results/precision_matrix.md and the summary in docs/precision.md. Everything is kept in `--cache` under its own
key: a second run only writes the tables. Build times are those of the machine that built.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from infc.build import LOCAL, build, shape_ranges
from infc.build.result import read_result
from infc.diag import Diagnostic
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.engine import BuildRequest, Engine, LoweredModel
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.ir.spec import OnnxModel, Spec
from infc.lower.lowering import lower, quantized_operators
from infc.lower.settings import LoweringSettings, settings_for
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.mixed_precision import find_exceptions
from infc.pipeline.trial import Bench
from infc.pipeline.workshop import Workshop
from infc.plan import solve
from infc.resolve.problem import resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue, load_catalogue
from infc.spec import LoadedSpec, load_spec
from infc.validate.accuracy import MeasureOptions, measure

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "precision_matrix.md"
DOCUMENT = ROOT / "docs" / "precision.md"
BEGIN, END = "<!-- precision-matrix: begin -->", "<!-- precision-matrix: end -->"
MODELS = ("fashion-mnist", "magika", "efficientnet-lite0", "minilm")
PRECISIONS = (
    Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8, Precision.INT4,
)  # fmt: skip
DEVICES = ("t4", "a100-sxm-40gb", "a10g", "l4", "rtx-5090")
"""One device for each compute capability that TensorRT-RTX builds for: 7.5, 8.0, 8.6, 8.9 and 12.0."""
SEARCHED = {"minilm": Precision.INT8}
"""Where the spec's goal is not shown to hold with every operator quantised: the search for exceptions is run."""
BATCH = 32
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Example:
    """An example model with everything its spec says."""

    loaded: LoadedSpec
    spec: Spec
    problem: Problem
    source: Path


@dataclass(frozen=True, kw_only=True)
class Built:
    """An engine and the seconds that its build took."""

    engine: Engine
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to lower a model, its accuracy, and what came of it on each device; diagnostics where nothing did."""

    name: str
    lowered: LoweredModel | Diagnostic
    evidence: AccuracyEvidence | Diagnostic | None
    engines: tuple[tuple[Hardware, Built | Diagnostic], ...]


def examples(specs: Path, names: Sequence[str], cache: Path) -> Iterator[Example]:
    """The examples whose model is here."""
    for name in names:
        loaded = load_spec(specs / name / f"{name}.infc.yaml")
        assert loaded.spec is not None, name
        assert isinstance(loaded.spec.model, OnnxModel)
        source = loaded.file(loaded.spec.model.onnx)
        if not source.is_file():
            print(f"{name}: the model is not here, `make models` fetches it")
            continue
        store = ProfileStore(root=cache / "profiles", cache=cache)
        resolved, problems = resolve_problem(loaded, catalogue(), store)
        assert resolved is not None, problems
        assert isinstance(resolved.problem, Problem)
        yield Example(loaded=loaded, spec=loaded.spec, problem=resolved.problem, source=source)


def variants(example: Example, precision: Precision) -> Iterator[tuple[str, LoweringSettings]]:
    """The recipes of a precision that differ for this model, the fullest first."""
    base = settings_for("gpu", method=example.spec.quantization.method)
    seen: set[tuple[str, ...]] = set()
    for settings in (base, replace(base, is_attention_quantized=False)):
        chosen = quantized_operators(example.source, example.problem.model, precision, settings)
        if seen and chosen in seen:
            continue
        seen.add(chosen)
        suffix = "" if settings.is_attention_quantized else " without attention's products"
        yield precision.value.upper() + suffix, settings


def row(example: Example, name: str, precision: Precision, settings: LoweringSettings, cache: Path) -> Row:
    """Lower, measure and build one recipe."""
    calibration, problems = calibration_for(example.loaded, example.spec, example.problem.model.inputs)
    assert calibration is not None, problems
    lowered, found = lower(example.source, example.problem.model, precision, calibration, settings, cache / "lowered")
    if lowered is None:
        return Row(name=name, lowered=found[0], evidence=None, engines=())
    engines = tuple((hardware, _built(example, lowered, hardware, cache)) for hardware in devices())
    return Row(name=name, lowered=lowered, evidence=_accuracy(example, lowered, cache), engines=engines)


def searched_row(example: Example, precision: Precision, cache: Path) -> Row | None:
    """The recipe with the fewest operators raised back at which the spec's goal holds; None when none is found."""
    limits = replace(example.problem.limits, precisions=(precision,))
    problem = replace(example.problem, limits=limits, evidence=(), engines=())
    plan = solve(problem)
    assert isinstance(plan, Plan), plan.binding
    calibration, _ = calibration_for(example.loaded, example.spec, problem.model.inputs)
    bench = Bench(problem=problem, plan=plan, shop=_workshop(example, cache), calibration=calibration)
    settings = settings_for("gpu", method=example.spec.quantization.method)
    plain = bench.look(settings)
    trial = plain if plain.holds else find_exceptions(bench, settings, plain)
    if trial.lowered is None or trial.evidence is None or not trial.evidence.kept:
        return None
    candidates = len(quantized_operators(example.source, problem.model, precision, settings))
    name = f"{precision.value.upper()}, {len(trial.evidence.kept)} of {candidates} operators raised back to FP16"
    lowered = trial.lowered
    engines = tuple((hardware, _built(example, lowered, hardware, cache)) for hardware in devices())
    return Row(name=name, lowered=lowered, evidence=trial.evidence, engines=engines)


def _workshop(example: Example, cache: Path) -> Workshop:
    return Workshop(
        loaded=example.loaded,
        store=ProfileStore(root=cache / "searched", cache=cache),
        is_read_only=True,
        market=None,
        allow_code=False,
        builder=LOCAL,
        build_timeout_s=600.0,
        promised_key=None,
        keeps_pending=False,
        announce=lambda line: print(f"    {line}", flush=True),
        progress=lambda _what, _done, _total: None,
    )


def _accuracy(example: Example, lowered: LoweredModel, cache: Path) -> AccuracyEvidence | Diagnostic:
    """The evidence of the spec's own goal, measured once."""
    goal = example.problem.accuracy
    assert goal is not None
    store = ProfileStore(root=cache / "profiles", cache=cache)
    for known in store.accuracy(example.problem.model.digest):
        if known.recipe_digest == lowered.recipe_digest:
            return known
    options = MeasureOptions(cache=cache / "reference", shown_as=goal.dataset)
    dataset = example.loaded.file(goal.dataset)
    evidence, problems = measure(example.source, lowered, dataset, goal, model=example.problem.model, options=options)
    if evidence is None:
        return problems[0]
    store.add_accuracy(evidence)
    return evidence


def _built(example: Example, lowered: LoweredModel, hardware: Hardware, cache: Path) -> Built | Diagnostic:
    request = BuildRequest(
        kind="tensorrt_rtx",
        model=lowered,
        shapes=shape_ranges(example.problem.model, BATCH, example.problem.traffic.axes),
        hardware_id=hardware.id,
        compute_capability=hardware.compute_capability,
    )
    engine, problems = build(request, cache / "engines", builder=LOCAL)
    if engine is None:
        return problems[0]
    result = read_result(cache / "engines" / engine.key, engine.key)
    assert not isinstance(result, Diagnostic), result
    return Built(engine=engine, seconds=result.attestation.seconds)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The built-in devices and prices."""
    return load_catalogue(None)


@lru_cache(maxsize=1)
def devices() -> tuple[Hardware, ...]:
    """The device of each compute capability."""
    found = (catalogue().find(name) for name in DEVICES)
    return tuple(hardware for hardware in found if hardware is not None)


def matrix(example: Example, cache: Path) -> list[Row]:
    """All rows of a model, with progress."""
    rows = []
    for precision in PRECISIONS:
        for name, settings in variants(example, precision):
            rows.append(_told(example, row(example, name, precision, settings, cache)))
        if SEARCHED.get(example.loaded.name) is precision:
            found = searched_row(example, precision, cache)
            rows += [] if found is None else [_told(example, found)]
    return rows


def _told(example: Example, made: Row) -> Row:
    print(f"{example.loaded.name}: {made.name}: {_accuracy_words(made)}", flush=True)
    for hardware, built in made.engines:
        print(f"    SM {hardware.compute_capability}: {_engine_words(built)}", flush=True)
    return made


def accuracy_table(rows: Sequence[Row]) -> list[str]:
    """Accuracy of each recipe, with the loss of its worst part of the data."""
    head = "| precision | lowered file | metric (95% interval) | drop (95% interval) | worst part | gate |"
    lines = [head, "|---|---|---|---|---|---|"]
    return lines + [f"| {each.name} | {_accuracy_cells(each)} |" for each in rows]


def _accuracy_cells(row: Row) -> str:
    if isinstance(row.lowered, Diagnostic):
        return f"{_words(row.lowered)} | | | |"
    size = f"{row.lowered.path.stat().st_size / MB:.2f} MB"
    evidence = row.evidence
    if not isinstance(evidence, AccuracyEvidence):
        return f"{size} | {'' if evidence is None else _words(evidence)} | | |"
    value, drop, worst = evidence.value, evidence.drop, next(iter(evidence.slices), None)
    part = "" if worst is None else f"{worst.name}: {worst.reference:.3g} to {worst.value:.3g}"
    return (
        f"{size} | {evidence.metric} {value.value:.4f} ({value.low:.4f} to {value.high:.4f}) |"
        f" {drop.value:.2%} ({drop.low:.2%} to {drop.high:.2%}) | {part} | {evidence.verdict.value}"
    )


def engine_table(rows: Sequence[Row]) -> list[str]:
    """Engines of each recipe: size, activation memory, layers by type of output, seconds; or a refusal's number."""
    capabilities = [f"SM {hardware.compute_capability}" for hardware in devices()]
    lines = [f"| precision | {' | '.join(capabilities)} |", "|---" * (len(capabilities) + 1) + "|"]
    refusals: dict[str, int] = {}
    for each in rows:
        cells = []
        for _, built in each.engines:
            if isinstance(built, Diagnostic):
                cells.append(f"refused [{refusals.setdefault(_words(built), len(refusals) + 1)}]")
            else:
                cells.append(_engine_cell(built))
        if cells:
            lines.append(f"| {each.name} | {' | '.join(cells)} |")
    return [*lines, "", *(f"[{number}] {words}  " for words, number in refusals.items())]


def _engine_cell(built: Built) -> str:
    facts = built.engine.facts
    activations = "" if facts.activation_bytes is None else f", {facts.activation_bytes / MB:.1f} MB act."
    moved = "" if facts.moved_bytes is None else f", moves {facts.moved_bytes / MB:,.0f} MB"
    return f"{built.engine.size_bytes / MB:.2f} MB{activations}{moved}<br>{_layers(built)}<br>{built.seconds:.1f} s"


def _layers(built: Built) -> str:
    counts: dict[str, int] = {}
    for layer in built.engine.facts.layers:
        counts[layer.dtype] = counts.get(layer.dtype, 0) + 1
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
    return ", ".join(f"{count} {dtype}" for dtype, count in most)


def _accuracy_words(row: Row) -> str:
    if isinstance(row.lowered, Diagnostic):
        return _words(row.lowered)
    evidence = row.evidence
    if not isinstance(evidence, AccuracyEvidence):
        return "" if evidence is None else _words(evidence)
    return f"{evidence.metric} {evidence.value.value:.4f}, {evidence.verdict.value}"


def _engine_words(built: Built | Diagnostic) -> str:
    return _words(built) if isinstance(built, Diagnostic) else _engine_cell(built).replace("<br>", "; ")


def _words(diagnostic: Diagnostic) -> str:
    """A diagnostic in one line, which fits a table."""
    return "; ".join((diagnostic.message, *diagnostic.notes[:1])).replace("|", "/").replace("\n", " ")


def document(tables: Sequence[tuple[Example, list[Row]]]) -> str:
    """The tables of all models."""
    version = next(
        (
            built.engine.facts.toolchain.get("tensorrt_rtx", "")
            for _, rows in tables
            for each in rows
            for _, built in each.engines
            if isinstance(built, Built)
        ),
        "",
    )
    lines = [
        f"Engines by TensorRT-RTX {version} without a GPU, batches 1 to {BATCH}, axes as in the spec. `act.` is the"
        " activation memory at the largest shapes, `moves` the activations that all layers read and write there (where"
        " the builder says every size), then layers by type of output and the seconds of the build. Accuracy is that of"
        " the lowered model through infc's gate, paired with FP32 on the same samples, judged by the spec's own goal.",
    ]
    for example, rows in tables:
        samples = next((r.evidence.samples for r in rows if isinstance(r.evidence, AccuracyEvidence)), 0)
        lines += ["", f"### {example.problem.model.name} ({samples} samples)", "", *accuracy_table(rows), ""]
        lines += engine_table(rows)
    return "\n".join(line.rstrip(" ") if not line.endswith("  ") else line for line in lines) + "\n"


def summary(tables: Sequence[tuple[Example, list[Row]]]) -> str:
    """One table for the documentation: accuracy, the engine for SM 8.9, and where there is none."""
    lines = [
        f"Batches 1 to {BATCH}, TensorRT-RTX engines; all five compute capabilities, the worst part of the data and the"
        f" builder's words are in `benchmarks/results/{RESULTS.name}`.",
        "",
        "| model | precision | metric (95% interval) | drop | gate | on SM 8.9 | refused on SM |",
        "|---|---|---|---|---|---|---|",
    ]
    for example, rows in tables:
        lines += [f"| {example.problem.model.name} | {each.name} | {_summary_cells(each)} |" for each in rows]
    return "\n".join(lines) + "\n"


def _summary_cells(row: Row) -> str:
    if isinstance(row.lowered, Diagnostic):
        return f"{_words(row.lowered)} | | | | every"
    accuracy = " | |"
    if isinstance(row.evidence, AccuracyEvidence):
        value, drop = row.evidence.value, row.evidence.drop
        accuracy = f"{row.evidence.metric} {value.value:.4f} ({value.low:.3f} to {value.high:.3f}) | {drop.value:.2%}"
        accuracy += f" | {row.evidence.verdict.value}"
    refused = [str(h.compute_capability) for h, built in row.engines if isinstance(built, Diagnostic)]
    shown = next((built for h, built in row.engines if h.compute_capability == "8.9"), None)
    cell = _engine_cell(shown).split("<br>")[0] if isinstance(shown, Built) else ""
    return f"{accuracy} | {cell} | {', '.join(refused)}"


def main() -> None:
    """Build the matrix and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, help="names of folders in specs/")
    parser.add_argument("--specs", type=Path, default=ROOT / "specs")
    parser.add_argument("--cache", type=Path, default=ROOT / "specs" / ".infc" / "matrix")
    parser.add_argument("--dry-run", action="store_true", help="print only, write no table")
    arguments = parser.parse_args()
    tables = [(e, matrix(e, arguments.cache)) for e in examples(arguments.specs, arguments.models, arguments.cache)]
    if arguments.dry_run or not tables:
        return
    text = document(tables)
    RESULTS.write_text(f"# Precisions of the example models\n\n{text}", encoding="utf-8")
    page = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.is_file() else ""
    if BEGIN in page and END in page:
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        DOCUMENT.write_text(f"{head}{BEGIN}\n\n{summary(tables)}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
