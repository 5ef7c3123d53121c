#!/bin/sh
# Pin what the images install, with the hashes of the wheels: docker/pin.sh [build|cpu|gpu ...]
# Needs pip-tools and Python 3.11, the Python of the images.
set -eu
cd "$(dirname "$0")/.."
export CUSTOM_COMPILE_COMMAND="docker/pin.sh"
for target in ${*:-build cpu gpu}; do
  if [ "$target" = build ]; then from="--allow-unsafe docker/requirements-build.in"; else from="--extra=$target --extra=postgres pyproject.toml"; fi
  # shellcheck disable=SC2086 # two words are meant
  pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-annotate --no-emit-index-url \
    --no-emit-trusted-host --no-emit-find-links --unsafe-package=peephole-service \
    --output-file="docker/requirements-$target.txt" $from
  sed -i '/^# WARNING/,$d' "docker/requirements-$target.txt" # it warns that the project itself is not pinned
done
