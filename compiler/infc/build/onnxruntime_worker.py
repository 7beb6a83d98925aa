"""Opens a model in ONNX Runtime: `python -m infc.build.onnxruntime_worker MODEL TARGET [--optimise]`.

With --optimise the optimised model is saved to TARGET. A process of its own, because the library ends the process on
some models.
"""

import sys

from infc.build.server_settings import UNSAFE_REWRITES


def main(model: str, target: str, is_optimised: bool) -> None:
    """Open the model; ONNX Runtime's reason for a refusal is the last line on standard error."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if is_optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = target
    providers = ["CPUExecutionProvider"]
    ort.InferenceSession(model, options, providers=providers, disabled_optimizers=list(UNSAFE_REWRITES))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--optimise" in sys.argv[3:])
