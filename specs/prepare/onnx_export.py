"""Exports a PyTorch module to one ONNX file that is the same on every machine."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch

OPSET = 18

DynamicShapes = dict[str, dict[int, torch.export.Dim]]


def export_module(
    module: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    input_names: Sequence[str],
    output_name: str,
    dynamic_shapes: DynamicShapes,
    path: Path,
) -> None:
    """Write `module` as ONNX with all weights inside.

    Stack traces and file names that the exporter records are removed: they hold this machine's paths, and would make
    the file differ from one machine to the next.
    """
    warnings.simplefilter("ignore")  # torch 2.13 warns of its own deprecated calls
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # and that torchvision is not installed
    torch.onnx.export(
        module.eval(),
        tuple(inputs),
        str(path),
        input_names=list(input_names),
        output_names=[output_name],
        dynamic_shapes=dynamic_shapes,
        dynamo=True,
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )
    model = onnx.load(str(path))
    graph = model.graph
    del model.metadata_props[:]
    del graph.metadata_props[:]
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
