// What the coordinator of a run writes down itself, of policies whose worker did not, and of the run as a whole.
#pragma once

#include "extension/policy.h"
#include "extension/task.h"

namespace pgcleanup {

// Constant SQL in the current transaction; the extension's owner must be in force.
class CoordinatorRecord {
public:
    CoordinatorRecord(pg::Extension extension, const TaskRequest& request, std::int64_t run_id);

    // The process that coordinates a run whose row its caller has inserted; false when the caller rolled back.
    bool adopt(pg::Spi& spi, std::int32_t worker_pid) const;
    // A policy whose part did not begin: its row, and the audit.
    void refuse(pg::Spi& spi, const Policy& policy, const std::string& status, const std::string& message) const;
    // Ends a part that is still said to run, with the audit. False when the worker had not come so far as to begin it.
    bool close(pg::Spi& spi, const Policy& policy, const std::string& status, const std::string& message) const;
    // What whoever waits for the run is told of the policy: cells of cleanup_run_result, or cleanup_restore_result.
    std::vector<std::vector<pg::Cell>> results(pg::Spi& spi, const Policy& policy) const;
    // The end of the run. No status: what those of its policies make together.
    void finish(pg::Spi& spi, const std::optional<std::string>& status,
                const std::optional<std::string>& message) const;

private:
    void audit(pg::Spi& spi, const Policy& policy, std::optional<std::int64_t> rows, const std::string& status,
               const std::string& message) const;
    pg::Rows run(pg::Spi& spi, const char* sql, const pg::Parameters& parameters) const;

    pg::Extension extension_;
    std::int64_t run_id_;
    Oid requested_by_;
    bool is_restore_;
};

} // namespace pgcleanup
