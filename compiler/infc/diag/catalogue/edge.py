"""Diagnostics about releases for edge devices."""

from infc.diag.kind import DiagnosticKind

EDGE: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="edge-file-damaged",
        title="A file of an edge release that is not what it should be",
        what="A manifest, a list of samples or what a device says of a release cannot be read.",
        why="It was edited, cut short, or written by an infc that uses another format.",
        example="manifest.json: $.version is missing",
        fix="Take the file again from the bundle or the device, or compile again with this infc.",
    ),
    DiagnosticKind(
        id="jetson-jetpack",
        title="a JetPack release that infc does not know",
        what="deploy.jetson.jetpack names no release of JetPack that infc has data of.",
        why="The release decides which TensorRT builds the engine, which power modes exist and whether the deep "
        "learning accelerators can be used; without it none of this can be planned.",
        example='deploy: {jetson: {jetpack: "6.3"}}',
        fix="Write the release on the device (`dpkg -s nvidia-jetpack`), or leave it out for the newest that infc "
        "knows.",
    ),
    DiagnosticKind(
        id="jetson-tensorrt",
        title="a TensorRT that is not known to run on the JetPack release",
        what="deploy.jetson.tensorrt names a version that JetPack neither installs nor is known to take beside its "
        "own.",
        why="The device refuses a bundle that is for another TensorRT than it has; this says so before one travels.",
        example='deploy: {jetson: {jetpack: "6.2", tensorrt: "10.9.0"}}   # 6.2 has 10.3.0, and takes 10.7.0',
        fix="Write the version on the device, or leave it out for the one that JetPack installs.",
    ),
    DiagnosticKind(
        id="edge-model-incomplete",
        title="a language model that a device could not start",
        what="The plan is for a Jetson module, and weights or tokeniser of the model are neither in the checkpoint's "
        "folder nor in the hub's cache of this machine.",
        why="A device is offline and its bundle is signed: what the bundle does not hold, or name by digest, never "
        "gets there.",
        example="model: {checkpoint: model}   # with a config.json and nothing else",
        fix="Put the files beside config.json, or fetch the repository once on the machine that compiles.",
    ),
    DiagnosticKind(
        id="edge-llm-refused",
        title="a language model without a recipe for the module",
        what="No recipe is written for the plan: the JetPack release has no image with vLLM, TensorRT Edge-LLM has no "
        "code for it or does not read the model or its precision, or an option is of the other runtime.",
        why="A recipe that is known not to start would only be found out on the device.",
        example="deploy: {server: jetson, jetson: {runtime: edge-llm}, vllm: {args: {enable-log-requests: true}}}",
        fix="Choose another JetPack, runtime, precision or model: the message says what there is.",
    ),
    DiagnosticKind(
        id="edge-name-taken",
        title="A name that devices keep for themselves",
        what="A spec for edge devices is named like a folder that infc keeps beside its deployments on a device.",
        why="A device puts every deployment in a folder of its name; these are the names of its engine cache, its log "
        "and its lock, and it refuses a bundle that would take their place.",
        example="metadata: {name: engines}",
        fix="Give the spec another metadata.name.",
    ),
    DiagnosticKind(
        id="edge-no-server",
        title="No one container for all modules of a bundle",
        what="The modules of one spec run JetPack releases whose server images differ, or for which infc knows none.",
        why="A bundle has one compose.yaml, and an engine loads only where its TensorRT is.",
        example="no one container serves all modules of the bundle",
        fix="Name a JetPack release that all have in deploy.jetson.jetpack, or set deploy.jetson.runtime to none.",
    ),
    DiagnosticKind(
        id="edge-module-unknown",
        title="A module that infc cannot tell apart",
        what="A bundle was asked for a Jetson module of your own catalogue.",
        why="A device compares how it names itself with the modules that a release was made for.",
        example="infc does not know how jetson-custom names itself, nor which JetPack runs on it",
        fix="Compile for a module of `infc targets list --kind jetson`.",
    ),
    DiagnosticKind(
        id="edge-tensorrt-unknown",
        title="A TensorRT that infc builds no engine with",
        what="A bundle was asked for a module whose JetPack release has a TensorRT that infc does not know.",
        why="JetPack 5 and 6.0 have TensorRT 8, which reads the precision of a network from flags of the build and not "
        "from the network; Xavier modules run nothing newer. They can be planned, to compare, and not compiled.",
        example="infc builds no engine with TensorRT 8.5.2, which jetson-xavier-nx-8gb has on JetPack 5.1.5",
        fix="Install JetPack 6.1 or later on an Orin module and name it in deploy.jetson.jetpack.",
    ),
    DiagnosticKind(
        id="edge-version-not-raised",
        title="A release number that does not go up",
        what="deploy.jetson.version names a release that is not later than the locked one, and the content differs.",
        why="Devices refuse an older release, and two releases of one number cannot be told apart by it.",
        example="release 7 is not later than 7, which infc.lock holds with other content",
        fix="Raise deploy.jetson.version, or leave it out: infc then counts releases itself.",
    ),
    DiagnosticKind(
        id="edge-outputs-unchecked",
        title="A bundle without reference outputs",
        what="The model, or what it was lowered to, does not run on this machine, or has tensors without a raw form.",
        why="What a device's engine answers is compared with outputs that were computed here.",
        example="the bundle has no reference outputs: a device takes its engine without comparing what it answers",
        fix="Compile where the lowered model runs; latency, power and temperature are judged all the same.",
    ),
    DiagnosticKind(
        id="edge-option-refused",
        title="An option that the module's TensorRT lacks",
        what="The spec asks for an engine with an option that the TensorRT on the module does not have.",
        why="Every device would refuse to build it.",
        example="TensorRT 10.16.2 of JetPack 7.2.2 on jetson-orin-nx-16gb cannot build it: option dla_core",
        fix="Change build or deploy.jetson; the message says which version has the option.",
    ),
    DiagnosticKind(
        id="edge-no-deepstream",
        title="A model that DeepStream cannot feed",
        what="deploy.jetson.runtime is deepstream, and the model does not take one image of a fixed size.",
        why="nvinfer makes one float tensor of 1 or 3 channels from each frame.",
        example="DeepStream cannot run reader: nvinfer feeds one image, and the model has 2 inputs",
        fix="Set deploy.jetson.runtime to triton, or to none where a program of yours feeds the model.",
    ),
)
