// What a relation must be to be stored, and to be followed.
#pragma once

#include "extension/relation.h"

namespace pgcleanup {

// Takes AccessShareLock on the related table until the transaction's end. Raises, with a reason and a hint, unless it
// is a table that a policy could be made on, of the target's owner, and its columns can be compared with the target's;
// undefined_table when it is not there. A relation that matches each row of the target with itself is refused.
void check_relation(const Policy& policy, const DeclaredRelation& relation);

// All that are stored.
void check_relations(const Policy& policy);

// Why a policy is unbound for its relations: a table that is not there; nothing when all are.
std::optional<std::string> missing_related_table(const Policy& policy);

} // namespace pgcleanup
