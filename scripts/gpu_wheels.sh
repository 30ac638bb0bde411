#!/usr/bin/env bash
# Fetches the Python packages that `benchmarks/gpu.py` needs and that a GPU machine with torch, transformers, accelerate
# and peft but no package index may lack. They go as wheels into .wheels/, which git ignores:
#
#   scripts/gpu_wheels.sh [SST2]     # SST2: a folder with train.jsonl.gz and validation.jsonl.gz, copied along
#
# On that machine, in the checkout that they were carried with:
#
#   python3 -m pip install --quiet --no-index --no-deps --target /tmp/site .wheels/*.whl
#   PYTHONPATH=/tmp/site python3 benchmarks/gpu.py --out results --sst2 .wheels/sst2
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.wheels
most_mib=60 # what may travel: tracked files and wheels together

rm -rf "$folder"
mkdir "$folder"
# The first four are asked for by tlnlp, the last four by them. All are pure Python, so that any 3.12 can take them.
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --dest "$folder" \
    --no-deps --only-binary=:all: --python-version 3.12 --implementation py --abi none --platform any \
    "datasets>=4" "evaluate>=0.4.5" "tyro>=0.9.20" \
    "dill>=0.3.8,<0.4.2" "multiprocess<0.70.20" docstring-parser "typeguard>=4" 2> >(grep -v ' is ignored: it is neither' >&2)

if [ $# -gt 0 ]; then
    mkdir "$folder/sst2"
    cp "$1/train.jsonl.gz" "$1/validation.jsonl.gz" "$folder/sst2"
fi

tracked=$(git ls-files -z | xargs -0 du --apparent-size --bytes --total | awk 'END { print $1 }')
wheels=$(du --apparent-size --bytes --summarize "$folder" | cut -f1)
total_mib=$(((tracked + wheels) / 1048576))
ls "$folder"
echo "checkout and $folder together: $total_mib MiB of at most $most_mib"
[ "$total_mib" -le "$most_mib" ]
