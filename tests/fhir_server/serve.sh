#!/usr/bin/env bash
# HAPI, a real FHIR R4 server, on a loopback port, its data in memory.
#   serve.sh start PORT [-Dtoken=T]   builds what is not built, starts it in the background, waits, prints its base URL
#   serve.sh stop PORT                stops it, and its data is gone
# HEAP (1200m) and WAIT (240 seconds) may be set. Where Java 17 (or newer), Maven or curl is missing, root gets it from apt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./background.sh

install() {
    if command -v javac >/dev/null && command -v mvn >/dev/null && command -v curl >/dev/null; then return; fi
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "needed: Java 17 or newer, Maven, curl (Debian, as root: apt-get install default-jdk-headless maven curl)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -qy --no-install-recommends default-jdk-headless maven curl >&2
}

# target/classpath is written last: newer than every source, with every jar still there, it means built
built() {
    [ -s target/classpath ] && [ -z "$(find pom.xml src -newer target/classpath)" ] &&
        tr : '\n' <target/classpath | xargs ls >/dev/null 2>&1
}

build() {
    rm -rf target/classpath target/classes
    nice mvn -q -B -ntp compile dependency:build-classpath -Dmdep.outputFile=target/classpath >&2
}

case ${1:-} in
    start)
        port=${2:?port}
        shift 2
        install
        built || build
        # one compiler: a server that lives for minutes never earns back what optimising costs
        start_server "$port" "http://127.0.0.1:$port/fhir" java -Xmx"${HEAP:-1200m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
            "$@" -cp "target/classes:$(<target/classpath)" FhirServer "$port"
        ;;
    stop) stop_server "${2:?port}" ;;
    *)
        echo "serve.sh start PORT | stop PORT" >&2
        exit 2
        ;;
esac
