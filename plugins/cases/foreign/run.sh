#!/usr/bin/env bash
# Builds a validator with each of the toolchains that are not ours, and has the runtime judge with them.
#
#   plugins/cases/foreign/run.sh
#
# Needs python3 with venv, node with npm, and their package registries. Tools go into a folder that is removed at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/components"

python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check componentize-py==0.25.1
(cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$work/python/bin/componentize-py" --wit-path "$root/wit" --world validator \
    componentize app --output "$work/components/python.wasm")

mkdir "$work/javascript"
cp "$here/javascript/app.js" "$here/javascript/build.mjs" "$work/javascript/"
(cd "$work/javascript" && npm install --silent --no-fund --no-audit @bytecodealliance/componentize-js@0.23.0 &&
    node build.mjs app.js "$root/wit" "$work/components/javascript.wasm")

ls -l "$work/components"
cd "$root"
PIGEON_FOREIGN="$work/components" cargo test --locked --workspace --test foreign -- --nocapture
