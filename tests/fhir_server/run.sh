#!/usr/bin/env bash
# Tests the service against HAPI, and its searches against HAPI and then sekmet-fhir. Each server is stopped whatever happens;
# the exit code is that of the first run that failed. What is given as arguments goes to pytest. One server runs at a time.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
python=${PYTHON:-$PWD/.venv/bin/python}
port=${PORT:-$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
token=$("$python" -c 'import secrets; print(secrets.token_urlsafe())')

trap '"$here/serve.sh" stop "$port"' EXIT # either script stops whichever runs on that port
trap 'exit 130' INT TERM
failed=0

FHIR_BASE=$("$here/serve.sh" start "$port" -Dtoken="$token")
export FHIR_BASE
echo "against HAPI at $FHIR_BASE"
FHIR_GUARDED_BASE=${FHIR_BASE%/fhir}/guarded FHIR_TOKEN=$token \
    "$python" -m pytest tests/fhir_server tests/fhir_search "$@" || failed=$?
"$here/serve.sh" stop "$port"

FHIR_BASE=$(PYTHON=$python "$here/sekmet.sh" start "$port")
echo "against sekmet-fhir at $FHIR_BASE"
# sekmet-fhir 0.1.1 has no search parameters for QuestionnaireResponse, and ignores those that it does not know
"$python" -m pytest tests/fhir_search -k "not form_answers and not unknown_search_parameter" "$@" || failed=$((failed ? failed : $?))
exit "$failed"
