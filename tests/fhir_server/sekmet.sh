#!/usr/bin/env bash
# sekmet-fhir, a second FHIR R4 server that shares no code with the first, on a loopback port, its data in a folder emptied at each start.
#   sekmet.sh start PORT   installs it into a virtual environment of its own, starts it in the background, waits, prints its base URL
#   sekmet.sh stop PORT    stops it
# PYTHON (python3) is what the environment is made with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./background.sh
version=0.1.1 venv=target/.venv-sekmet

install() {
    if [ -e "$venv/$version" ]; then return; fi
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    nice "$venv/bin/pip" install -q --disable-pip-version-check "sekmet-fhir==$version" >&2
    touch "$venv/$version"
}

# its hospital simulator would answer each order with results of its own, and its checks refuse the broken resources that real charts hold
configure() {
    rm -rf "target/sekmet-$1"
    mkdir -p "target/sekmet-$1"
    cat >"target/sekmet-$1/settings.yaml" <<SETTINGS
base_url: http://127.0.0.1:$1/fhir
host: 127.0.0.1
port: $1
data_dir: target/sekmet-$1
own_private_key_path: target/sekmet-$1/key.pem
simulator: {enabled: false}
validation: {inbound: "off"}
log_inbound: false
SETTINGS
}

case ${1:-} in
    start)
        port=${2:?port}
        install
        configure "$port"
        start_server "$port" "http://127.0.0.1:$port/fhir" "$venv/bin/sekmet" serve --config "target/sekmet-$port/settings.yaml"
        ;;
    stop) stop_server "${2:?port}" ;;
    *)
        echo "sekmet.sh start PORT | stop PORT" >&2
        exit 2
        ;;
esac
