// How each policy stands: what it did, what its table is like, what is overdue.
#pragma once

#include "extension/policy_history.h"
#include "extension/policy_state.h"

namespace pgcleanup {

struct PolicyStats {
    Policy policy;
    PolicyState state; // as the catalogs have it, whether or not it is enabled, paused or running
    PolicyHistory history;
    pg::Cell oldest_row; // timestamptz text
    pg::Cell as_of;      // when oldest_row was so
    pg::Cell overdue;    // interval text
    std::optional<double> overdue_seconds;
    pg::Cell next_run_at;                   // timestamptz text
    std::optional<std::int64_t> table_rows; // nothing: unbound, or somebody has the table locked
    std::optional<std::int64_t> table_bytes;
};

// The word for cleanup_stats.state: what it is doing before what it could not do, and that before what it might do.
const char* state_word(const PolicyStats& stats, bool paused);

// Of every policy that `role` may manage, or of the one that is named (which raises when there is none that he may
// see). Scans no table, writes nothing, holds no lock afterwards, and waits for none longer than a moment: what cannot
// be told then is left out.
std::vector<PolicyStats> policy_stats(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Oid role);

} // namespace pgcleanup
