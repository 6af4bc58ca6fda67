#!/usr/bin/env bash
# Pigeon beside other queues: builds the programs of the peers and runs all in turn. See README.md.
#
#     run.sh [--install] [options of compare.py]
#
# It installs nothing, unless --install is its first word: then Redis and PostgreSQL, with apt-get.
set -euo pipefail
cd "$(dirname "$0")"
source=$PWD
root=$(cd ../../../.. && pwd)
build=$root/target/peers

if [[ ${1:-} == --install ]]; then
    shift
    apt-get update -q
    apt-get install -qy --no-install-recommends redis-server postgresql postgresql-client libpq-dev
fi

missing=()
for program in redis-server pg_config psql setpriv go node npm python3 cargo; do
    command -v "$program" > /dev/null || missing+=("$program")
done
if ((${#missing[@]})); then
    echo "needs ${missing[*]}: Redis and PostgreSQL come with --install, the rest with your toolchains" >&2
    exit 2
fi

mkdir -p "$build/go" "$build/node"
(cd go && go build -o "$build/go/" ./...)
cargo build --quiet --release --locked --manifest-path rust/Cargo.toml --target-dir "$build/rust"
cp node/package.json node/package-lock.json node/peer.js "$build/node/"
(cd "$build/node" && npm install --silent --no-save --no-fund --no-audit)
[[ -x $build/python/bin/python ]] || python3 -m venv "$build/python"
"$build/python/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt

# Nothing is left beside the sources.
export PYTHONDONTWRITEBYTECODE=1
cd "$source"
exec python3 compare.py --build "$build" "$@"
