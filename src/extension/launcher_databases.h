// The server's databases as the launcher sees them.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

struct ConnectableDatabase {
    Oid oid;
    std::string name;
};

// Those that can hold schedules: no templates, connections allowed, named by pg_cleanup.databases if that names any.
// Reads the shared catalog in a transaction of its own; needs no connection to a database.
std::vector<ConnectableDatabase> connectable_databases();

} // namespace pgcleanup
