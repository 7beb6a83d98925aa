#!/bin/sh
# RAUC runs this instead of writing slots: the bundle is a signed archive of infc, and infc's agent installs it, builds
# and measures the engine, and puts the release before back when the new one fails.
# Exits 0 when the release is in service (or was already), 1 when it is not; what the agent said is in RAUC's log.
set -u

say_error() {
    echo "<< error $*"
}

archive=
for each in "${RAUC_BUNDLE_MOUNT_POINT:-${RAUC_UPDATE_SOURCE:?started by RAUC only}}"/*.tar.zst; do
    archive=$each
done
if [ ! -f "$archive" ]; then
    say_error "the bundle holds no archive of infc"
    exit 1
fi
if [ ! -f /opt/infc/edge.py ]; then
    say_error "infc's agent is not on this device: unpack the archive and run its install.sh once"
    exit 1
fi
python3 /opt/infc/edge.py install "$archive"
code=$?
case $code in
    0) ;;
    51) say_error "the power mode needs a restart of the device: restart it and install this bundle again" ;;
    *) say_error "edge.py install ended with exit code $code; /opt/infc/log says why" ;;
esac
[ "$code" -eq 0 ]
