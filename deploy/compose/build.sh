#!/bin/sh
# Builds the image of this release: commonry:VERSION, by docker, else (or with ENGINE=podman) by podman. More words go to the
# build: --secret id=pip_conf,src=pip.conf tells pip where packages come from.
set -eu
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [ "${ENGINE:-docker}" = docker ] && command -v docker >/dev/null; then
    engine=docker format=
elif command -v podman >/dev/null; then
    engine=podman format="--format docker" # the other one knows no health checks
else
    echo "This needs docker or podman (Debian, Ubuntu: apt install podman)." >&2
    exit 1
fi
# shellcheck disable=SC2086 # no word, or two
exec env DOCKER_BUILDKIT=1 $engine build $format --build-arg VERSION="$version" --build-arg REVISION="$revision" --tag "commonry:$version" "$@" .
