#!/bin/bash
# Ratios of cleanup_run to what a user would otherwise do, on a private server. usage: bench/run.sh
# BENCH_ROWS (default 5000000), BENCH_ROUNDS (5), BENCH_MEMORY_ROWS (20000000; 0 leaves the memory measurement out),
# BENCH_PARTITION_ROWS (20000000; 0 leaves the partitions out), BENCH_PARTITION_ROUNDS (1),
# BENCH_SHARED_BUFFERS (default a quarter of the memory, as PostgreSQL's manual recommends). Commits are durable: a loop
# that commits a lot pays for it.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quarter_of_memory="$(awk '/^MemTotal:/ { print int($2 / 4) }' /proc/meminfo)kB"
export PG_CLEANUP_FSYNC=on
exec "$repo/test/tools/server" run -o shared_buffers="${BENCH_SHARED_BUFFERS:-$quarter_of_memory}" -o max_wal_size=16GB -o checkpoint_timeout=1h -o autovacuum=off \
  -- bash -c '/usr/bin/python3 "$0/bench/deletes.py" && /usr/bin/python3 "$0/bench/partitions.py"' "$repo"
