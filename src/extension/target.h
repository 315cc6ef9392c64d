// Which relations a policy may act on, and who may make one.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// Takes AccessShareLock on the relation until the transaction's end, so that what is checked stays true; raises
// undefined_table when it is not there (any more).
void lock_target(Oid relation);

// Raises, with a reason and a hint, unless it is a heap table, a partition, or a partitioned table all of whose
// partitions are and belong to its owner, and nothing about it makes deleting its rows mean something else: no catalog,
// temporary table, extension member, DELETE rule, nor row security forced on its owner. Reads catalogs only.
void check_target(Oid relation);

// Raises insufficient_privilege unless `role` is superuser, the owner, or a member of the owner.
void check_target_ownership(Oid relation, Oid role);

// The role that a policy on the relation runs as; InvalidOid when the relation is gone.
Oid target_owner(Oid relation);

} // namespace pgcleanup
