"""Diagnostics about drift."""

from infc.diag.kind import DiagnosticKind

DRIFT: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="drift-server",
        title="Drift of a deployment that has no server to ask",
        what="The deployment runs on edge devices, and an address of a server was given; or the other way round.",
        why="Devices are asked over ssh, through the program that installed the release; servers over HTTP.",
        example="dock-camera @ jetson-orin-nano-8gb runs on edge devices, which are asked over ssh",
        fix="Name devices as ssh://DEVICE, servers with --endpoint.",
    ),
    DiagnosticKind(
        id="drift-target",
        title="Several locked deployments of one spec",
        what="A spec is locked for several targets, and none was named.",
        why="What runs is compared with the entry of one target; against another everything would seem to differ.",
        example="chat is locked for several targets",
        fix="Name the one that runs there with --target; the message lists those that are locked.",
    ),
    DiagnosticKind(
        id="drift-bundle",
        title="A bundle that is not the locked one",
        what="The folder given with --bundle is no bundle, of another deployment, or not what infc.lock holds.",
        why="The lock has digests; what a file says is read from the bundle, where its digest is the locked one.",
        example="dist/chat is another bundle than the locked one of chat @ l4",
        fix="Compile it again with infc compile --locked, or leave --bundle out.",
    ),
    DiagnosticKind(
        id="drift-cluster",
        title="A deployment without Kubernetes objects",
        what="A cluster was to be compared with a deployment whose spec asks for no objects.",
        why="Nothing was emitted that could be in a cluster.",
        example="encoder @ l4 has no Kubernetes objects: the spec asks for none",
        fix="Add deploy.kubernetes to the spec and compile, or look at the server with --endpoint.",
    ),
    DiagnosticKind(
        id="drift-folder",
        title="A folder with nothing of the deployment",
        what="No file of the folder is one that the lock has, and no object in it is one that was emitted.",
        why="A comparison of nothing would say that nothing drifted.",
        example="rendered/prod holds no file and no object of encoder @ l4 as it is locked",
        fix="Name the folder of a bundle, its kubernetes folder, or manifests made from it (then with --bundle).",
    ),
)
