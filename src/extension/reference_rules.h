// What references mean for the rows of a policy: on_reference, and how its rows are removed.
#pragma once

#include "extension/eligibility.h"
#include "extension/family_links.h"

namespace pgcleanup {

class LeafStatements;

// Which test of references goes into the statements of a leaf table.
enum class ReferenceRule {
    none,         // no row goes: it is changed, and stays for whatever references it
    not_blocked,  // plain deletes: rows that nothing blocks go, and the constraints do the rest
    unreferenced, // on_reference 'skip' and 'error': rows that nothing references, by whatever key
    families,     // no test there: families decide
};

ReferenceRule reference_rule(const Policy& policy, const FamilyLinks& links);

// The rule's test over the alias `target`, a row of `leaf`, as far as `owner` may read; "true" when there is nothing to
// test. Inside a transaction; takes no lock.
std::string reference_test(ReferenceRule rule, Oid leaf, Oid owner);
// The tables whose rows can make that test false, each once.
std::vector<Oid> reference_tables(ReferenceRule rule, Oid leaf, Oid owner);

// Why a policy with on_reference 'skip' or 'error' cannot run at all; nothing when it can, or follows references.
// Reads the eligible rows for 'error', in an OwnerTransaction.
std::optional<std::string> reference_refusal(const Policy& policy, const Eligibility& eligibility,
                                             std::span<const Oid> leaves, Oid owner);

} // namespace pgcleanup
