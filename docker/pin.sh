#!/bin/sh
# Pin what the images install, with the hashes of the wheels: docker/pin.sh [build|cpu|gpu|worker ...]
# Needs pip-tools and Python 3.11, the Python of the images; for the worker, a pip that finds PyTorch's CPU build.
set -eu
cd "$(dirname "$0")/.."
export CUSTOM_COMPILE_COMMAND="docker/pin.sh"
for target in ${*:-build cpu gpu worker}; do
  case "$target" in
    build) from="--allow-unsafe docker/requirements-build.in" ;;
    worker) from="--allow-unsafe --extra=training --extra=postgres pyproject.toml" ;;
    *) from="--extra=$target --extra=postgres pyproject.toml" ;;
  esac
  # shellcheck disable=SC2086 # two words are meant
  pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-annotate --no-emit-index-url \
    --no-emit-trusted-host --no-emit-find-links --unsafe-package=peephole-service \
    --output-file="docker/requirements-$target.txt" $from
  # it warns that the project itself is not pinned
  sed -i -e '/^# WARNING/,$d' -e '/^peephole-service @/d' "docker/requirements-$target.txt"
done
