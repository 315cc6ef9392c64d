// Storing relations that were checked.
#pragma once

#include "extension/relation.h"

namespace pgcleanup {

// Checks and stores a relation of a policy that is ready and locked; its related table and columns are set. Raises
// duplicate_object when the policy has it already. Returns its id. The table's trigger binds and audits.
std::int64_t insert_relation(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                             const DeclaredRelation& relation);
void delete_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t relation_id);

// Raises duplicate_object.
void check_new_relation(const Policy& policy, const DeclaredRelation& relation);

// Makes the stored binding of a policy what it refers to now, after a relation was added: the policy was ready before.
// With `restored` it may not have been, or cannot be bound yet: then it is bound by its next run.
void bind_added_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id, bool restored);
// After one was removed: only when nothing else has changed since the policy was bound.
void bind_removed_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id);

} // namespace pgcleanup
