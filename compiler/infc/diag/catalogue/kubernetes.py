"""What `infc compile` says of a deployment in a cluster."""

from infc.diag.kind import DiagnosticKind

KUBERNETES: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="kubernetes-model",
        title="a cluster that has to guess where the model is",
        what="deploy.kubernetes is set for an ONNX model, and deploy.kubernetes.model is not. The pods mount the claim "
        "<name>-model.",
        why="An engine is too large for a ConfigMap, and Triton's image does not hold it: somebody has to put it where "
        "pods find it.",
        example="deploy: {kubernetes: {namespace: search}}",
        fix="Name the place: deploy.kubernetes.model with pvc (a volume claim), oci (an image, see `infc image`) or s3 "
        "(a bucket).",
    ),
    DiagnosticKind(
        id="kubernetes-model-shared",
        title="several deployments of a spec that read the model from one place",
        what="The spec is compiled for several devices, deploy.kubernetes.model names one place, and the engines or "
        "checkpoints for these devices differ.",
        why="Whoever fills the place with one of them lets the pods of the others load an engine that is not theirs: "
        "they fail, or serve another precision than was planned.",
        example="deploy: {targets: [cpu], kubernetes: {model: {s3: {uri: s3://acme-models/encoder}}}}",
        fix="Give each device a spec of its own over a common base (`extends:`), with a place of its own; or name an "
        "image without tag and digest, whose tag is then the release's digest.",
    ),
    DiagnosticKind(
        id="kubernetes-name",
        title="a name that is too long for a cluster",
        what="deploy.kubernetes is set, and the objects would have a name that Kubernetes or KServe does not take: a "
        "label's value and a Service's name have at most 63 characters. Objects of an entry of deploy.targets are "
        "called after the device, too; of an InferenceService <name>-predictor-<namespace> has to fit.",
        why="An API server refuses the object, or KServe takes it and never makes a Deployment of it.",
        example="metadata: {name: product-encoder-for-the-search-page-of-the-storefront}\n"
        "deploy: {kubernetes: {flavor: kserve}}",
        fix="Give the spec a shorter metadata.name, or with KServe a shorter namespace.",
    ),
    DiagnosticKind(
        id="kubernetes-image",
        title="an image that only this bundle can make",
        what="The engine needs a backend that Triton's own image lacks; the manifests name the image that the bundle's "
        "Dockerfile builds, which no registry has.",
        why="Nodes pull images from a registry; a pod of an image that is nowhere waits for ever.",
        example="build: {engine: torch}   deploy: {kubernetes: {}}",
        fix="Build the image from the bundle, push it, and name it in deploy.kubernetes.image.",
    ),
    DiagnosticKind(
        id="kubernetes-model-image",
        title="no model to make an image of",
        what="infc image was given a bundle without a model: its engine is not built yet, or its server fetches the "
        "model from the hub.",
        why="An image without a model would let pods start and wait for ever.",
        example="infc image dist/product-encoder   # compiled with --builder job",
        fix="Build the engine and compile again; a model of the hub needs no image.",
    ),
)
