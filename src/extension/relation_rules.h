// What a relation must be to be stored, and to be followed.
#pragma once

#include "extension/relation.h"

namespace pgcleanup {

// Takes AccessShareLock on the related table until the transaction's end. Raises, with a reason and a hint, unless it
// is a table that a policy could be made on, of the target's owner, and its columns can be compared with the target's;
// undefined_table when it is not there. A relation that matches each row of the target with itself is refused.
void check_relation(const Policy& policy, const DeclaredRelation& relation);

// All that are stored. Raises object_not_in_prerequisite_state, too, when the table of one is not there.
void check_relations(const Policy& policy);

// A relation for which the policy is unbound, since its table is not there; nothing when all are.
std::optional<DeclaredRelation> relation_without_table(const Policy& policy);
// What is wrong with that one, and what to do about it, with a statement to paste.
std::string missing_table_text(const DeclaredRelation& relation);
std::string missing_table_remedy(const DeclaredRelation& relation);

} // namespace pgcleanup
