"""Diagnostics about edge devices behind ssh."""

from infc.diag.kind import DiagnosticKind

EDGE_DEVICE: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="edge-unsigned",
        title="Bundle is not signed",
        what="The bundle holds no SHA256SUMS.sig.",
        why="A device installs only what a key that it knows has signed; an unsigned bundle is not even sent.",
        example="dist/dock-camera/dock-camera-jetson-orin-nx-16gb-7.tar.zst is not signed",
        fix="Sign it with infc sign BUNDLE --key KEY.pem, with the key whose public half the device has.",
    ),
    DiagnosticKind(
        id="edge-not-trusted",
        title="Device does not trust who signed",
        what="None of the public keys in /etc/infc/keys of the device made the signature, or there is no key there.",
        why="Keys are put on a device once, by a trusted way. A key that comes with a bundle proves nothing.",
        example="no key of ssh://lab@orin-3 made the signature of dock-camera-jetson-orin-nx-16gb-7.tar.zst",
        fix="Sign with the key that the device knows, or put the new public key into /etc/infc/keys there first.",
    ),
    DiagnosticKind(
        id="edge-other-module",
        title="Device is another module than the bundle is made for",
        what="The module that the device names is among none of the bundle's targets.",
        why="Engines, power modes and predictions are made for one kind of module; nothing was sent.",
        example="ssh://lab@nano-1 is NVIDIA Jetson Orin Nano (p3767-0003), and dock-camera is not made for it",
        fix="Name a device with one of the bundle's modules, or add its module to the spec and compile again.",
    ),
    DiagnosticKind(
        id="edge-device-cannot",
        title="Nothing can be installed on the device",
        what="The device has no Python 3.8 or later, or the login there may not become root without a password.",
        why="Releases, power modes and units belong to root, and nobody is there to type a password.",
        example="the login at ssh://lab@orin-3 may not install: it is not root, and sudo asks for a password",
        fix="Log in as root, allow the user sudo without a password, or name the device's Python with ?python=.",
    ),
    DiagnosticKind(
        id="edge-device-lost",
        title="Connection to the device was lost",
        what="The connection broke while a bundle was sent or installed.",
        why="An install that had begun goes on there, and ends with the new release in service or the one before.",
        example="the connection to ssh://lab@orin-3 was lost while it installed",
        fix="Run the same command again: it waits for the device, and reads what came of it.",
    ),
    DiagnosticKind(
        id="edge-device-answer",
        title="Device does not answer as it should",
        what="What the agent of the device prints cannot be read, or the device does not take what it is sent.",
        why="Its agent is of another infc, its disk is full, or the login there is not to a POSIX shell.",
        example="ssh://lab@orin-3 does not say what is on it (exit code 1)",
        fix="Run /opt/infc/edge.py status on the device; its words say what is wrong.",
    ),
)
