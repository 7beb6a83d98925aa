#!/bin/sh
# Installs this bundle on this device: sudo ./install.sh [--allow-downgrade] [--keep N] [--dry-run] [--format json]
#
# Where a release was accepted before, its program (/opt/infc/edge.py) verifies and installs this one; nothing else
# of this folder runs before that. On a device that has none yet, this script makes the same checks with openssl and
# sha256sum, then starts the program that this bundle brings. To trust not even this script, see docs/edge.md.
#
# Exit codes are those of edge.py: 10 signature, 11 damaged, 12 a file nobody signed for, 30 the device is not ready.
set -eu
LC_ALL=C
export LC_ALL

refuse() {
    code=$1
    printf 'error[%s]: %s\n' "$code" "$2" >&2
    [ -z "${3:-}" ] || printf 'help: %s\n' "$3" >&2
    exit "$code"
}

root=/
keys=
before=
for word in "$@"; do
    case $before in
        --root) root=$word ;;
        --keys) keys=$word ;;
    esac
    case $word in
        --root=*) root=${word#*=} ;;
        --keys=*) keys=${word#*=} ;;
    esac
    before=$word
done
root=${root%/}
keys=${keys:-$root/etc/infc/keys}
here=$(cd "$(dirname "$0")" && pwd -P)

command -v python3 >/dev/null 2>&1 || refuse 30 "python3 is not installed" "install python3 (3.8 or later)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 ||
    refuse 30 "python3 is older than 3.8: $(python3 --version 2>&1)" "install a later one, and have it first on PATH as python3"
if [ -f "$root/opt/infc/edge.py" ]; then
    exec python3 "$root/opt/infc/edge.py" install "$here" "$@"
fi

for tool in openssl sha256sum find sort comm; do
    command -v "$tool" >/dev/null 2>&1 || refuse 30 "$tool is not installed" "install the package that has $tool"
done
cd "$here"

# Who signed it. Only keys that are on the device already count.
[ -f SHA256SUMS ] && [ -f SHA256SUMS.sig ] || refuse 10 "nobody signed this bundle" "get it from who signs it"
signer=
for key in "$keys"/*.pem; do
    [ -f "$key" ] || continue
    if openssl dgst -sha256 -verify "$key" -signature SHA256SUMS.sig SHA256SUMS >/dev/null 2>&1; then
        signer=$key
        break
    fi
done
[ -n "$signer" ] || refuse 10 "no key in $keys made the signature of this bundle" \
    "put the signer's public key (*.pem) there, or get the bundle again"

# No file that is not listed, and nothing but files and folders.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed 's/^[0-9a-f]*  //' SHA256SUMS | sort >"$scratch/listed"
find . ! -type d ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig | sed 's|^\./||' | sort >"$scratch/found"
extra=$(comm -13 "$scratch/listed" "$scratch/found" | head -n 5)
[ -z "$extra" ] || refuse 12 "nobody signed for: $extra" "get the bundle again"
odd=$(find . ! -type d ! -type f | head -n 5)
[ -z "$odd" ] || refuse 12 "neither a file nor a folder: $odd" "get the bundle again"

# Every file as it was signed. What a delta leaves out is looked for by edge.py.
sha256sum -c --quiet --strict --ignore-missing SHA256SUMS >&2 || refuse 11 "a file is damaged" "get the bundle again"
if [ ! -f bin/edge.py ]; then
    grep -q '"delta": *null' manifest.json && refuse 11 "bin/edge.py is missing" "get the bundle again"
    refuse 13 "this is a delta, and no release was ever accepted here" "send the full bundle"
fi

rm -rf "$scratch"
exec python3 "$here/bin/edge.py" install "$here" "$@"
