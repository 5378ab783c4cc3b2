#!/usr/bin/env bash
# Two instances behind a TLS proxy, with PostgreSQL and Redis, all on loopback; what is given as arguments goes to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

missing=()
compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || missing+=(postgresql)
[ -x /usr/bin/redis-server ] || missing+=(redis-server)
[ -x /usr/sbin/nginx ] || missing+=(nginx)
[ -x /usr/bin/openssl ] || missing+=(openssl)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "install ${missing[*]} first, or run this as root" >&2
        exit 1
    fi
    # Nothing is started by being installed: the tests start their own, in a folder of their own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy --no-install-recommends "${missing[@]}"
    [ -z "$(trap -p EXIT)" ] || rm -f /usr/sbin/policy-rc.d
fi

CDS_TEST_CLUSTER=1 exec "${PYTHON:-$PWD/.venv/bin/python}" -m pytest tests/cluster -p no:cacheprovider "$@"
