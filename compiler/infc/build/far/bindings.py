"""Building with the library's Python package: what a job asks for becomes calls of TensorRT's interface."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .facts import facts_from_log, inspected_facts
from .files import UnacceptableError
from .options import unsupported_options
from .precision import absent_precision, asked_types, ignored_precision, other_types
from .progress import progress_monitor, say
from .timing import TimingCache


def build_in_python(job: dict[str, Any], library: dict[str, Any], timing_cache: Path | None) -> dict[str, Any]:
    """Build with the library's Python package: the answer's facts and errors. Raises UnacceptableError."""
    try:
        trt = importlib.import_module(library["module"])
    except (ImportError, OSError) as error:
        raise UnacceptableError(f"{library['package']} does not load: {error}") from error
    messages: list[tuple[str, str]] = []
    errors: list[str] = []
    parse_errors: list[str] = []
    facts = None
    try:
        build = Build(trt, library, job, messages, parse_errors)
        plan = build.run(timing_cache)
        if plan is not None:
            facts = build.facts(plan)
            Path("model.plan").write_bytes(plan)
    except (RuntimeError, TypeError, ValueError) as error:
        errors.append(str(error))
    errors += [text for severity, text in messages if severity in ("ERROR", "INTERNAL_ERROR")]
    return {"facts": facts, "errors": errors, "parse_errors": parse_errors}


class Build:
    """One build: the library's objects and what the job asks of them.

    `messages` collects the library's log as (severity, text), `parse_errors` what its ONNX parser says.
    """

    def __init__(
        self,
        trt: Any,
        library: dict[str, Any],
        job: dict[str, Any],
        messages: list[tuple[str, str]],
        parse_errors: list[str],
    ) -> None:
        self.trt, self.library, self.job = trt, library, job
        self.messages, self.parse_errors = messages, parse_errors
        self.fallbacks: list[str] = []
        self.asked: dict[str, tuple[str, str]] = {}
        self.logger = log_collector(trt, messages)
        self.builder = trt.Builder(self.logger)

    def run(self, timing_cache: Path | None) -> bytes | None:
        """The serialized engine; None when the library refuses."""
        refused = unsupported_options(self.job["options"], self.job["hardware_id"], self.trt.__version__, self.library)
        if refused:
            raise ValueError("\n".join(refused))
        self.builder.max_threads = 1
        network = self._network()
        if network is None:
            return None
        self.asked = asked_types(network)
        absent = absent_precision(self.job["precision"], self.asked)
        if absent is not None:
            raise ValueError(absent)
        config = self._config(network)
        cache = TimingCache(self.trt, self.library, config, timing_cache)
        capability = self.job["compute_capability"]
        say(f"building {network.num_layers} layers for compute capability {capability}")
        serialized = self.builder.build_serialized_network(network, config)
        if serialized is None:
            return None
        cache.save()
        return bytes(serialized)

    def facts(self, plan: bytes) -> dict[str, Any]:
        """What the engine is made of. Raises ValueError when most of it does not compute in the asked precision."""
        facts = facts_from_log([text for _, text in self.messages], self.job["shapes"])
        facts.update(toolchain=self.job["toolchain"], settings={})
        if not self.library["capabilities"]:
            facts.update(inspected_facts(self.trt, self.logger, plan))
        other = other_types(self.asked, facts["layers"])
        ignored = ignored_precision(self.asked, other)
        if ignored is not None:
            raise ValueError(ignored)
        moved = [f"{name}: {ran} instead of {asked}" for name, (asked, ran) in other.items()]
        facts["fallbacks"] = self.fallbacks + moved
        return facts

    def _network(self) -> Any:
        flags = 0
        for name in self.library["network_flags"]:
            flags |= 1 << int(getattr(self.trt.NetworkDefinitionCreationFlag, name))
        network = self.builder.create_network(flags)
        parser = self.trt.OnnxParser(network, self.logger)
        if self.job["options"]["dla_core"] is not None and hasattr(self.trt.OnnxParserFlag, "ADJUST_FOR_DLA"):
            parser.set_flag(self.trt.OnnxParserFlag.ADJUST_FOR_DLA)
        title = self.library["title"]
        say(f"{title} {self.trt.__version__}: reading the model")
        if parser.parse_from_file("model.onnx"):
            return network
        for index in range(parser.num_errors):
            error = parser.get_error(index)
            node = error.node_name() or "model"
            self.parse_errors.append(f"{node}: {error.desc()}")
        return None

    def _config(self, network: Any) -> Any:
        trt, library, options = self.trt, self.library, self.job["options"]
        config = self.builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.job["precision"] == "fp32":
            config.clear_flag(trt.BuilderFlag.TF32)
        if options["workspace_bytes"] is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options["workspace_bytes"])
        if options["optimization_level"] is not None:
            config.builder_optimization_level = options["optimization_level"]
        for option, flag in sorted(library["builder_flags"].items()):
            if options[option]:
                config.set_flag(getattr(trt.BuilderFlag, flag))
        if options["hardware_compatibility"] != "none":
            level = library["hardware_levels"][options["hardware_compatibility"]]
            if level != "NONE":
                config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
        if library["capabilities"]:
            config.num_compute_capabilities = 1
            name = library["capabilities"][self.job["compute_capability"]]
            config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        if options["dla_core"] is not None:
            self._use_dla(network, config)
        if library["has_progress_monitor"]:
            config.progress_monitor = progress_monitor(trt)
        config.add_optimization_profile(self._profile(network))
        return config

    def _profile(self, network: Any) -> Any:
        profile = self.builder.create_optimization_profile()
        shapes = {shape["input"]: shape for shape in self.job["shapes"]}
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            if tensor.name not in shapes:
                raise ValueError(f"optimization profile: the job has no shapes for the input {tensor.name}")
            if tensor.is_shape_tensor:
                raise ValueError(f"shape tensor: the values of the input {tensor.name} set shapes inside the model")
            shape = shapes[tensor.name]
            profile.set_shape(tensor.name, shape["minimum"], shape["optimum"], shape["maximum"])
        return profile

    def _use_dla(self, network: Any, config: Any) -> None:
        """Send layers to the deep learning accelerator first; those that it cannot run go to the GPU and are named."""
        config.default_device_type = self.trt.DeviceType.DLA
        config.DLA_core = self.job["options"]["dla_core"]
        config.set_flag(self.trt.BuilderFlag.GPU_FALLBACK)
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            if layer.type.name != "CONSTANT" and not config.can_run_on_DLA(layer):
                self.fallbacks.append(f"{layer.name}: GPU instead of DLA")


def log_collector(trt: Any, messages: list[tuple[str, str]]) -> Any:
    """A logger that keeps every message: at VERBOSE the builder states layers, types and memory."""

    class Collector(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            messages.append((str(severity).rpartition(".")[2], message))

    return Collector()
