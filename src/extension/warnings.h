// What a dry run warns of: each warning says one thing and what to do about it, with a statement to paste where there
// is one. docs/reference/preview_and_dry_run.md lists them.
#pragma once

#include "extension/due_rows.h"
#include "extension/row_update.h"

namespace pgcleanup {

// What is known when the counting is done.
struct DryRunFacts {
    const pg::Extension& extension;
    const Policy& policy;
    Oid owner; // of the target: whose rights the run has
    std::span<const Oid> leaves;
    const Eligibility& eligibility;
    const Cascade& cascade; // with relations, as far as the owner may read
    const DueRows& due;
    const RowUpdate* update; // what becomes of the rows; null: they go, or nobody looks at rows
};

// All of them, in a fixed order. As the owner, inside an OwnerTransaction; runs the policy's guard.
std::vector<std::string> warnings_of(pg::Spi& spi, const DryRunFacts& facts);

// Each adds its warnings to the list, if any. `spi` is open.
using Warnings = std::vector<std::string>;
void warn_if_disabled(const DryRunFacts& facts, Warnings& list);
void warn_of_guard(const DryRunFacts& facts, Warnings& list);
void warn_of_breaker(const DryRunFacts& facts, Warnings& list);
void warn_of_blocked_rows(const DryRunFacts& facts, Warnings& list);
void warn_of_endless_update(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_overlap(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_missing_age_index(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_missing_group_index(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_unindexed_references(const DryRunFacts& facts, Warnings& list);
void warn_of_large_families(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_unlogged(const DryRunFacts& facts, Warnings& list);
void warn_of_publications(const DryRunFacts& facts, Warnings& list);
void warn_of_triggers(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_foreign_triggers(pg::Spi& spi, const DryRunFacts& facts, Warnings& list);
void warn_of_other_owners(const DryRunFacts& facts, Warnings& list);
void warn_of_unarchivable(const DryRunFacts& facts, Warnings& list);

// "a, b, c and 4 more".
std::string listed(std::span<const std::string> items, std::size_t most = 5);
// Every key that a deletion of the target's rows meets, once each.
std::vector<const ForeignKey*> keys_met(const DryRunFacts& facts);
// What a key does when a referenced row goes: "ON DELETE CASCADE".
const char* delete_action(const ForeignKey& key);

} // namespace pgcleanup
