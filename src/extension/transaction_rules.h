// In which transactions a run may be asked for.
#pragma once

#include "pg/guard.h"

#include <span>

namespace pgcleanup {

// For a caller that waits: the workers neither see what his transaction did nor get past its locks. Raises
// active_sql_transaction or object_in_use, with a hint, naming `function`, when the transaction has changed something,
// is a subtransaction, is part of a pipeline, or holds a lock on one of `tables`.
void check_waiting_transaction(std::span<const Oid> tables, const char* function = "cleanup_run");

// Raises read_only_sql_transaction in recovery or in a read-only transaction. `function` is what the message names.
void check_can_write(const char* function);

} // namespace pgcleanup
