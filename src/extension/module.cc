// The module's entry: what PostgreSQL calls when it loads the library.
#include "extension/launcher_memory.h"
#include "extension/settings.h"
#include "pg/guard.h"

extern "C" {
PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(); // NOLINT(bugprone-reserved-identifier,cert-*,readability-identifier-naming)
}

void _PG_init() // NOLINT(bugprone-reserved-identifier,cert-*,readability-identifier-naming)
{
    pgcleanup::pg::pg_entry([] {
        pgcleanup::define_settings();
        // During pg_upgrade nothing may run, neither in the old server nor in the new one.
        if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
            pgcleanup::prepare_launcher();
    });
}
