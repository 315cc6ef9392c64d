// Values of the SQL type cleanup_target.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// The table of a value: the one that it was bound to, or, while it is only a name, the one that has that name now.
// InvalidOid when there is none; a table that was dropped is never replaced by another of its name or OID.
Oid target_relation(Datum target);
// Whether the value knows its table by identity, not only by name.
bool target_is_bound(Datum target);
// A value bound to a relation; raises undefined_table when there is none.
Datum bound_target(Oid relation);
// "schema.name", quoted: the present one, or the last known.
std::string target_text(Datum target);

} // namespace pgcleanup
