#!/usr/bin/env bash
# Starts a server of its own and has schemathesis ask it whatever the OpenAPI document allows, and what it does not.
#
#   host/control/tests/schemathesis.sh [PIGEON]     a binary; built if none is given
#
# SCHEMATHESIS_SECONDS bounds the time (60). Needs python3 with venv, and PyPI. All it makes goes into a folder that is
# removed at the end.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
seconds=${SCHEMATHESIS_SECONDS:-60}
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

pigeon=${1:-}
if [ -z "$pigeon" ]; then
    (cd "$root" && cargo build --locked --workspace --bin pigeon)
    pigeon=${CARGO_TARGET_DIR:-$root/target}/debug/pigeon
fi

python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5

"$pigeon" serve --state-dir "$work/state" --listen 127.0.0.1:0 --api-listen 127.0.0.1:0 --log warn 2>"$work/log" &
server=$!
tries=0
until [ -s "$work/state/run.json" ]; do
    kill -0 "$server" && [ "$((tries += 1))" -lt 600 ] || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
api=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["api"])' "$work/state/run.json")
token=$(cat "$work/state/admin.token")

# All plugins are compiled as they are first named, which is no fault of the request that names them; and there is
# something to find.
"$work/python/bin/python" - "$api" "$token" <<'EOF'
import json, sys, urllib.request
api, token = sys.argv[1:]
def ask(path, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(api + path, body, headers), timeout=300).read().decode()
for plugin in json.loads(ask("/api/v1/plugins"))["plugins"]:
    job = json.loads(ask("/api/v1/jobs", json.dumps({"plugin": plugin["name"]}).encode()))["id"]
    ask(f"/api/v1/jobs/{job}/seal", b"")
print(ask("/api/v1/jobs", json.dumps({"plugin": "gexpr", "items": ["(+ 1 2)", "("]}).encode()))
EOF

# Left out are answers that have no end, waits of half a minute, and the end of the very token that asks.
# `positive_data_acceptance` cannot hold: that a plugin or a time zone of that name exists, no schema says.
cat >"$work/hooks.py" <<'EOF'
import json
import schemathesis

# Media types that schemathesis has no writer for: lines, and bytes as they are.
@schemathesis.serializer("application/x-ndjson", "application/vnd.pigeon.chunk", "application/wasm")
def write(context, value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value).encode()
EOF
cat >"$work/schemathesis.toml" <<EOF
hooks = "$work/hooks.py"
headers = { Authorization = "Bearer $token" }
EOF
(cd "$work" && python/bin/schemathesis --config-file "$work/schemathesis.toml" run "$api/openapi.json" \
    --checks all --exclude-checks positive_data_acceptance \
    --exclude-operation-id stream_events --exclude-operation-id events_socket --exclude-operation-id watch_job \
    --exclude-operation-id job_runs --exclude-operation-id wait_job --exclude-operation-id revoke_token \
    --max-time "$seconds" --request-timeout 20 --generation-database none --no-color)

kill -0 "$server" || { echo "the server did not live to the end" >&2; cat "$work/log" >&2; exit 1; }
curl --silent --fail "$api/health" >/dev/null || exit 1
if grep -E 'panicked|ERROR' "$work/log"; then
    echo "the server complained" >&2
    exit 1
fi
