// What the tables of runs say about each policy.
#pragma once

#include "extension/policy.h"

#include <unordered_map>

namespace pgcleanup {

struct PolicyHistory {
    // Over the policy's whole life, what was pruned from the history included.
    std::int64_t runs = 0;
    std::int64_t rows = 0;
    std::int64_t dependent_rows = 0;
    std::int64_t row_bytes = 0;

    std::optional<std::int64_t> last_run;
    pg::Cell last_run_at;
    pg::Cell last_status; // "interrupted", not "running", when nobody works on that run any more
    pg::Cell last_error;  // the run's message, unless it succeeded

    // The oldest row that the latest run met that met any, and when.
    pg::Cell oldest;
    pg::Cell oldest_at;

    bool is_running() const { return last_status == "running"; }
};

// By policy_id; every policy has an entry. Reads as the extension's owner.
using PolicyHistories = std::unordered_map<std::int64_t, PolicyHistory>;
PolicyHistories policy_histories(pg::Spi& spi, const pg::Extension& extension);

} // namespace pgcleanup
