// Relations: rows of other tables that go with a policy's rows without a foreign key, as they are declared
// (cleanup_relations). Not to be confused with the locks of relation_locks.h.
#pragma once

#include "extension/cascade.h"

namespace pgcleanup {

struct DeclaredRelation {
    std::int64_t id = 0;
    std::int64_t policy_id = 0;
    Oid related = InvalidOid;                // InvalidOid: unbound
    std::string related_name;                // "schema.name", quoted; the last known one when unbound
    bool related_is_bound = true;            // false: known by name only, since it was restored from a dump
    std::string on_columns;                  // json text
    std::vector<std::string> target_columns; // names, unquoted
    std::vector<std::string> related_columns;
    // A related row stays while a row of the target that stays matches it, or a row that stays blocks it.
    bool unless_referenced = true;
};

// Those of a policy that are stored, in the order of their ids; none for a policy without an id. Reads as the
// extension's owner, inside a transaction.
std::vector<DeclaredRelation> relations_of(const Policy& policy);

// "relation to public.meetings (meeting_id = id)": for the audit, warnings and results.
std::string relation_name(const DeclaredRelation& relation);

// The relation as if it were a key of the related table that references the target by CASCADE: its name is
// relation_name(), its constraint InvalidOid, its operators are those that compare the columns. reference_match() and
// the rest serve it. Raises undefined_column or datatype_mismatch for columns that are not there or cannot be compared.
ForeignKey relation_key(const DeclaredRelation& relation, Oid target);

// Leaf tables of the target without an index that its columns in the relation lead: with unless_referenced each related
// row is looked up there.
std::vector<Oid> unindexed_in_target(const DeclaredRelation& relation, Oid target);

// What a run of the policy sets off, by its relations, too: their keys are among those of the target, and what is
// behind their tables follows.
Cascade cascade_with_relations(const Policy& policy, std::optional<Oid> reader);

} // namespace pgcleanup
