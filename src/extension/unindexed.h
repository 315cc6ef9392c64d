// References that have no index to be found by: each deleted row reads the whole table for them.
#pragma once

#include "extension/cascade.h"

namespace pgcleanup {

struct UnindexedReference {
    std::string text;        // "public.b (about 7 rows) references public.a (b_a_fkey) without an index"
    std::string statements;  // that make one
    std::int64_t rows = 0;   // of what is read, the tables without the index, by the planner's estimate
    bool is_refused() const; // above pg_cleanup.max_unindexed_reference_rows
};

// Those that deleting rows of the policy's target can meet: foreign keys at any depth, relations on both their sides,
// and the foreign keys behind related tables. `cascade` starts at the target. Catalogs only; a relation that cannot be
// followed is left out.
std::vector<UnindexedReference> unindexed_references(const Policy& policy, const Cascade& cascade);

// Why a run is refused for one of them; nothing when it is not.
std::optional<std::string> unindexed_refusal(const Policy& policy, const Cascade& cascade);

// One statement per table; a partitioned table gets one per partition, as CONCURRENTLY works only there. `columns` are
// quoted, with commas.
std::string create_index_statements(const std::vector<Oid>& tables, const std::string& columns);

// Names, quoted where needed, with commas.
std::string joined(const std::vector<std::string>& quoted_names);

} // namespace pgcleanup
