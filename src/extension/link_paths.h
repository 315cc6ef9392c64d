// The shortest ways from a policy's target to the tables that hang together with it.
#pragma once

#include "extension/cascade.h"
#include "extension/relation.h"

namespace pgcleanup {

// A foreign key or relation that deletions from the target meet, with the way there.
struct LinkPath {
    ForeignKey key; // of a relation: relation_key()
    bool is_relation = false;
    bool unless_referenced = false; // of a relation
    bool is_readable = true;
    std::vector<Oid> unindexed_target; // of a relation with unless_referenced
    std::vector<std::string> tables;   // quoted, qualified: the target first, the dependent table last
};

// Each link once, by the length of its path, then by the names of tables and links. `reader`: what he may not read is
// not followed. Catalogs only.
std::vector<LinkPath> link_paths(const Policy& policy, Oid reader);

} // namespace pgcleanup
