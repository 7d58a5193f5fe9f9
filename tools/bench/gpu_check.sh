#!/usr/bin/env bash
# What only a GPU can show, in eight minutes: gpu_check.sh [--json gpu.json] [SHARDS...]; run in a clone. --device cpu tries the script itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec "${PYTHON:-python3}" -m foveal.tools bench gpu "$@"
