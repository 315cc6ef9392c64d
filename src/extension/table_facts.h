// What the catalogs and the planner know about a table.
#pragma once

#include "pg/identity.h"

namespace pgcleanup {

// The tables that hold a table's rows: its leaf partitions, or itself. Foreign partitions are left out.
std::vector<Oid> leaves_of(Oid table);

// The table for FROM: quoted, qualified, with ONLY unless it is partitioned.
std::string from_table(Oid table);

// Rows by the planner's estimate, over all partitions; takes AccessShareLock on each. No scan.
double estimated_rows(Oid table);

// Whether a table, or a partition of it, has triggers, as everything that a foreign key references has. Takes no lock.
bool has_triggers(Oid table);

// Whether `role` may read the whole table by name: SELECT, USAGE of its schema, and no row security that applies to
// him.
bool may_read(Oid table, Oid role);

} // namespace pgcleanup
