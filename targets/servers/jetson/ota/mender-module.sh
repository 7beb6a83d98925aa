#!/bin/sh
# Update module of Mender (v3) for bundles of infc: /usr/share/mender/modules/v3/infc-bundle, mode 0755.
# infc's agent does the work: it verifies, builds, measures, and goes back to the release before when the new one fails.
set -u

state=${1:-}
files=${2:-.}
agent=/opt/infc/edge.py

install_archive() {
    archive=
    for each in "$files"/files/*.tar.zst; do
        archive=$each
    done
    if [ ! -f "$archive" ]; then
        echo "infc-bundle: the artifact holds no archive of infc" >&2
        return 1
    fi
    if [ ! -f "$agent" ]; then
        echo "infc-bundle: $agent is not on this device: unpack the archive and run its install.sh once" >&2
        return 1
    fi
    rm -f "$files/tmp/restart-needed"
    python3 "$agent" install "$archive"
    code=$?
    case $code in
        0) : > "$files/tmp/in-service" ;;
        51) : > "$files/tmp/restart-needed" ;;
        *)
            echo "infc-bundle: edge.py install ended with exit code $code; /opt/infc/log says why" >&2
            return 1
            ;;
    esac
}

# The release's name, as the artifact's meta-data say.
release_name() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["name"])' "$files/header/meta-data"
}

case $state in
    SupportsRollback)
        echo Yes
        ;;
    ArtifactInstall)
        install_archive || exit 1
        ;;
    NeedsArtifactReboot)
        # Some power modes take effect with a restart only; after it the same installation goes on.
        if [ -e "$files/tmp/restart-needed" ]; then echo Automatic; else echo No; fi
        ;;
    ArtifactVerifyReboot)
        if [ -e "$files/tmp/restart-needed" ]; then
            install_archive || exit 1
            [ ! -e "$files/tmp/restart-needed" ] || exit 1
        fi
        ;;
    ArtifactRollback)
        # A release that failed is out of service already; this is for one that was accepted and is not wanted after all.
        if [ -e "$files/tmp/in-service" ]; then
            name=$(release_name) || exit 1
            python3 "$agent" rollback "$name" || exit 1
        fi
        ;;
esac
exit 0
