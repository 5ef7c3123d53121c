#!/bin/sh
# Install each server into its own virtual environment under $PEEPHOLE_BENCH_VENVS; done ones are left alone.
set -eu
venvs=${PEEPHOLE_BENCH_VENVS:-$HOME/.cache/peephole/bench}
common="onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1 pydantic==2.14.4"

install() {
    name=$1
    shift
    wanted="$common $*"
    [ "$(cat "$venvs/$name/.installed" 2>/dev/null)" = "$wanted" ] && return
    [ -x "$venvs/$name/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$venvs/$name"
    # shellcheck disable=SC2086
    "$venvs/$name/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$venvs/$name/.installed"
    echo "$name is in $venvs/$name"
}

install stock fastapi==0.165.0 "uvicorn[standard]==0.54.0"
install litserve litserve==0.2.19 "uvicorn[standard]==0.54.0"
install bentoml bentoml==1.4.39 "uvicorn[standard]==0.54.0"
install ray "ray[serve]==2.60.0" "uvicorn[standard]==0.54.0"
