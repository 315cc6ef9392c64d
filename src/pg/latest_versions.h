// From a row's version to its newest one.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// Replaces each row id by that of the newest version that is committed or this transaction's own; an id of a row that
// is gone stays. The relation must be locked.
void follow_to_latest_versions(Oid relation, std::span<ItemPointerData> rows);

} // namespace pgcleanup::pg
