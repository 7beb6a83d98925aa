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
)
