#!/usr/bin/env bash
# The pages in a real browser. What is given as arguments goes to pytest.
# Chromium is Debian's; axe-core and LHC-Forms are packages of npm, of exactly the content that is named here, without what they depend on.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
python=${PYTHON:-$PWD/.venv/bin/python}

missing=()
for command in chromium npm; do command -v "$command" > /dev/null || missing+=("$command"); done
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get > /dev/null || [ "$(id -u)" != 0 ]; then
        echo "needed: ${missing[*]} (Debian, as root: apt-get install ${missing[*]})" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -qy --no-install-recommends "${missing[@]}" >&2
fi

# package NAME VERSION SHA512 FILE...: these files of the package, in node_modules beside this script
package() {
    local name=$1 version=$2 sha512=$3 target="$here/node_modules/$1-$2" work
    shift 3
    if [ -d "$target" ]; then return; fi
    work=$(mktemp -d)
    (cd "$work" && npm pack --silent "$name@$version" > /dev/null)
    if [ "$(openssl dgst -sha512 -binary "$work/$name-$version.tgz" | base64 -w0)" != "$sha512" ]; then
        echo "$name@$version is not the package that was looked at" >&2
        exit 1
    fi
    tar -xzf "$work/$name-$version.tgz" -C "$work" "${@/#/package/}"
    mkdir -p "$here/node_modules"
    mv "$work/package" "$target"
    rm -r "$work"
}

package axe-core 4.14.1 FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ== axe.min.js
lforms=dist/lforms
package lforms 40.1.3 WLruTm+BcVnafC0rSAQ3/cNqhxvclBUxyBG68aub/uha2NaK9H8ZZcEXTTuORuGzzCt0wa7fvhuieZtcDIdPzQ== \
    $lforms/webcomponent/{styles.css,assets/lib/zone.min.js,runtime.js,polyfills.js,main.js} $lforms/fhir/R4/lformsFHIR.min.js

exec "$python" -m pytest tests/browser -m browser "$@"
