"""The report of `gpu_report.py` as Markdown."""

from collections.abc import Iterator
from statistics import median
from typing import Any

MIB = 2**20


def markdown(report: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([*_head(report), *_tests(report), *_table(report), *_engines(report), *_power(report)]) + "\n"


def points_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every measured point that has a prediction."""
    found = [point for model in report["models"] if "profile" in model for point in model["profile"]["points"]]
    return [point for point in found if point["predicted_ms"] is not None]


def _head(report: dict[str, Any]) -> Iterator[str]:
    gpu = report["gpu"]
    yield f"# infc on {gpu['name']}"
    yield ""
    yield "Written by `make gpu`. Times are milliseconds of one execution of one instance alone on the device."
    yield ""
    yield (
        f"- GPU: {gpu['name']} (`{gpu['hardware']}`), compute capability {gpu['compute_capability']}, "
        f"{gpu['memory_gib']:.1f} GiB, {gpu['sm_count']} multiprocessors"
    )
    yield f"- driver {gpu['driver'] or 'not told'}, CUDA up to {gpu['cuda']}, infc {report['infc']}"
    yield "- " + (", ".join(f"{name} {version}" for name, version in report["packages"].items()) or "no packages")
    if report["skipped_specs"]:
        yield f"- not here, so not measured: {', '.join(report['skipped_specs'])} (`make models` fetches them)"
    yield ""


def _tests(report: dict[str, Any]) -> Iterator[str]:
    yield "## Tests"
    yield ""
    counts = report["tests"]["counts"]
    yield ", ".join(f"{counts[outcome]} {outcome}" for outcome in sorted(counts)) or "Not run."
    yield ""
    told = [case for case in report["tests"]["cases"] if case["outcome"] != "passed" or case["recorded"]]
    if not told:
        return
    yield "| test | outcome | reason, or what it recorded |"
    yield "|---|---|---|"
    for case in told:
        recorded = ", ".join(f"{name} {value}" for name, value in case["recorded"].items() if name != "usage")
        yield f"| {_cell(case['name'])} | {case['outcome']} | {_cell(recorded or case['reason'])} |"
    yield ""


def _table(report: dict[str, Any]) -> Iterator[str]:
    yield "## Predicted against measured"
    yield ""
    points = points_of(report)
    if points:
        errors = [abs(point["prediction_error"]) for point in points]
        inside = sum(point["is_inside_prediction"] for point in points)
        yield (
            f"{inside} of {len(points)} medians inside the predicted 90% interval; "
            f"median error {median(errors):.0%}, largest {max(errors):.0%}."
        )
        yield ""
    columns = "model | precision | engine | batch | measured ms (90%) | on the device | predicted ms (90%)"
    yield f"| {columns} | off by | inside |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for model in report["models"]:
        if "refused" in model:
            yield f"| {model['spec']} | {model['precision']} | refused: {_cell(model['refused'])} | | | | | | |"
            continue
        profile = model["profile"]
        for point in profile["points"]:
            yield (
                f"| {model['spec']} | {model['precision']} | {profile['engine']} | {point['batch_size']} | "
                f"{_ms(point['ms'])} | {_ms(point['device_ms'])} | {_ms(point['predicted_ms'])} | "
                f"{_error(point)} | {_inside(point)} |"
            )
    yield ""


def _engines(report: dict[str, Any]) -> Iterator[str]:
    yield "## Engines"
    yield ""
    yield "| model | precision | size MiB | activations MiB | weights MiB | layers | built in s |"
    yield "|---|---|---|---|---|---|---|"
    for model in report["models"]:
        engine = model.get("engine")
        if engine is not None:
            types = ", ".join(f"{count} {name or 'untold'}" for name, count in engine["layer_types"].items())
            yield (
                f"| {model['spec']} | {model['precision']} | {_mib(engine['size_bytes'])} | "
                f"{_mib(engine['activation_bytes'])} | {_mib(engine['weight_bytes'])} | "
                f"{engine['layers']} ({types}) | {engine['seconds']:.1f} |"
            )
    yield ""


def _power(report: dict[str, Any]) -> Iterator[str]:
    yield "## The device while it was measured"
    yield ""
    yield "| model | precision | busy | W (most) | GiB in use | MHz | °C | clocks held back |"
    yield "|---|---|---|---|---|---|---|---|"
    for model in report["models"]:
        usage = model.get("profile", {}).get("usage")
        if usage is not None:
            held = ", ".join(f"{why} {share:.0%}" for why, share in usage["slowdowns"].items())
            yield (
                f"| {model['spec']} | {model['precision']} | {_number(usage['utilization'], '.0%')} | "
                f"{_number(usage['power_w'], '.0f')} ({_number(usage['power_max_w'], '.0f')}) | "
                f"{_number(usage['memory_gib'], '.2f')} | {_number(usage['clock_mhz'], '.0f')} | "
                f"{_number(usage['temperature_max_c'], '.0f')} | {held} |"
            )


def _ms(value: dict[str, float | None] | None) -> str:
    if value is None:
        return ""
    return f"{value['value']:.3f} ({_number(value['low'], '.3f')} - {_number(value['high'], '.3f')})"


def _error(point: dict[str, Any]) -> str:
    return _number(point["prediction_error"], "+.0%")


def _inside(point: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: ""}[point["is_inside_prediction"]]


def _mib(size: float | None) -> str:
    return "" if size is None else f"{size / MIB:.1f}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:160]
