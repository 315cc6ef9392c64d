#!/bin/bash
# Ratios of cleanup_run to what a user would otherwise do, on a private server. usage: bench/run.sh
# BENCH_ROWS (default 5000000), BENCH_ROUNDS (5), BENCH_MEMORY_ROWS (20000000; 0 leaves the memory measurement out).
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exec "$repo/test/tools/server" run -o shared_buffers=1GB -o max_wal_size=16GB -o checkpoint_timeout=1h -o autovacuum=off \
  -- /usr/bin/python3 "$repo/bench/deletes.py"
