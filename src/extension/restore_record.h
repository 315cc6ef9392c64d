// What a restore writes down, in the transaction of what it did. Constant SQL under the extension owner's rights.
#pragma once

#include "extension/policy.h"
#include "extension/run_record.h"

namespace pgcleanup {

// What was done in one table, or in a part of it.
struct RestoredRows {
    std::int64_t rows = 0;
    std::int64_t reset_references = 0;
    std::int64_t conflicts = 0;
};

class RestoreRecord {
public:
    RestoreRecord(pg::Extension extension, std::int64_t run_id, Oid requested_by, const Policy& policy)
        : extension_(std::move(extension)), run_id_(run_id), requested_by_(requested_by), policy_(policy)
    {
    }
    // In the current transaction, each. A table has its row from the first call on.
    void add(const std::string& table, const RestoredRows& done);
    // Closes the rows and writes the audit; `details` are added to what every restore says there.
    void finish(const std::string& status, const std::string& message, std::int64_t rows,
                std::span<const SkippedRows> conflicts, pg::JsonObject details);

private:
    pg::Extension extension_;
    std::int64_t run_id_;
    Oid requested_by_;
    const Policy& policy_;
};

} // namespace pgcleanup
