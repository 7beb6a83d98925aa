"""Result files of `vllm bench serve`, AIPerf and guidellm as measurements; who wrote one is told by its content."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from infc.diag import Diagnostic
from infc.ir.llm_measurement import LlmMeasurement
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm_import.aiperf import (
    RECORDS_NAME,
    SUMMARY_NAME,
    is_aiperf_records,
    is_aiperf_summary,
    read_aiperf_records,
    read_aiperf_summary,
)
from infc.validate.llm_import.document import Document, ResultFileError, read_documents
from infc.validate.llm_import.guidellm import is_guidellm, read_guidellm
from infc.validate.llm_import.judge import measurement_of
from infc.validate.llm_import.run import ImportedRun
from infc.validate.llm_import.vllm_bench import is_vllm_bench, read_vllm_bench

__all__ = ["ImportedRun", "import_result", "measurement_of", "read_result"]

_Reader: TypeAlias = tuple[Callable[[Sequence[Document]], bool], Callable[[Sequence[Document]], ImportedRun]]

READERS: tuple[_Reader, ...] = (
    (is_vllm_bench, read_vllm_bench),
    (is_aiperf_summary, read_aiperf_summary),
    (is_aiperf_records, read_aiperf_records),
    (is_guidellm, read_guidellm),
)


def import_result(
    path: Path, contract: LlmContract, settings: LlmLoadSettings | None = None
) -> tuple[LlmMeasurement | None, tuple[Diagnostic, ...]]:
    """The measurement of a result file of another load generator, judged by the contract; or what is wrong with it.

    `path` is a file, or AIPerf's folder of them. Of `settings` only the confidences count.
    """
    run, problems = read_result(path)
    if run is None:
        return None, problems
    return measurement_of(run, contract, settings or LlmLoadSettings()), problems


def read_result(path: Path) -> tuple[ImportedRun | None, tuple[Diagnostic, ...]]:
    """What a result file says, whoever wrote it."""
    try:
        return (_read_folder(path) if path.is_dir() else _read_file(path)), ()
    except ResultFileError as error:
        return None, (_unreadable(path, str(error)),)


def _read_file(path: Path) -> ImportedRun:
    documents = read_documents(path)
    for recognizes, read in READERS:
        if recognizes(documents):
            run = read(documents)
            if run.duration_s <= 0 or run.requests <= 0:
                raise ResultFileError("it is of a run without a request")
            return run
    raise ResultFileError("it is of no load generator that is known")


def _read_folder(folder: Path) -> ImportedRun:
    """AIPerf's folder: requests from one file, how they were made from the other."""
    records, summary = folder / RECORDS_NAME, folder / SUMMARY_NAME
    if not records.is_file() and not summary.is_file():
        raise ResultFileError(f"the folder has neither {RECORDS_NAME} nor {SUMMARY_NAME}, as AIPerf writes them")
    if not records.is_file():
        return _read_file(summary)
    run = _read_file(records)
    if not summary.is_file():
        return run
    made = _read_file(summary)
    return replace(
        run,
        version=made.version,
        model=made.model,
        asked_rps=made.asked_rps,
        is_open_loop=made.is_open_loop,
        summaries=made.summaries,
        notes=(),
    )


def _unreadable(path: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="import-unreadable",
        message=f"{path} is no result that can be imported: {reason}",
        notes=(
            "read are the JSON of `vllm bench serve --save-result`, AIPerf's profile_export.jsonl or "
            "profile_export_aiperf.json or the folder of both, and guidellm's JSON",
        ),
        help="name the file that the load generator wrote, of one run",
    )
