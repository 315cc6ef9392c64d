// What a run writes down, in the transaction of what it did. Constant SQL under the extension owner's rights.
#pragma once

#include "extension/policy.h"
#include "extension/row_ids.h"
#include "pg/json.h"

namespace pgcleanup {

// Why a run of a policy ends before its work is done.
struct RunStopped {
    std::string status; // partial, skipped, failed, cancelled
    std::string message;
};

inline constexpr const char* window_closed_message = "stopped: its window has closed; the next one goes on";

struct DependentChange {
    Oid table = InvalidOid;
    std::int64_t deleted = 0;
    std::int64_t changed = 0;
};

// What one batch did.
struct BatchCounters {
    std::int64_t rows = 0;
    std::vector<DependentChange> dependents;
    bool redone = false;
    std::int64_t done_units = 0; // progress, in the units of the strategy
};

// A partition that was removed as a whole.
struct RemovedPartition {
    std::string name;
    std::int64_t rows = 0;
    std::int64_t bytes = 0;
    std::int64_t done_units = 0;
};

// Rows that stayed although they are due, by reason.
struct SkippedRows {
    std::string reason;
    std::int64_t rows = 0;
    std::vector<std::string> samples;
};

// Whose rows a record is about: the policy's target, or one of its archives.
enum class RecordKind { target, archive };

class RunRecord {
public:
    RunRecord(pg::Extension extension, std::int64_t run_id, Oid requested_by, Policy policy,
              RecordKind kind = RecordKind::target);

    // In the current transaction, each.
    void begin();
    void set_cutoff(std::optional<TimestampTz> cutoff);
    void set_plan(const std::string& strategy, std::int64_t total_units, const std::string& unit);
    void add_batch(const BatchCounters& counters, double row_width);
    // Counts them as one batch, and audits each by its name.
    void add_partitions(std::span<const RemovedPartition> partitions, bool dropped);
    void set_waiting(const std::optional<std::string>& reason);
    // Throws RunStopped when the policy was disabled, changed or dropped since, or the database was paused.
    void check_control();
    // Counts skipped rows, closes the row and writes the audit; `details` are added to what every run says there.
    void finish(const std::string& status, const std::string& message, std::span<const SkippedRows> skipped,
                pg::JsonObject details);
    // The transaction that wrote last was committed, or rolled back.
    void committed() noexcept { row_ = pending_; }
    void rolled_back() noexcept { pending_ = row_; }

    std::int64_t rows_so_far() const noexcept { return rows_; }

private:
    std::string of_our_kind(std::string_view sql) const;
    const pg::Plan& plan(std::optional<pg::Plan>& slot, std::string_view sql, const pg::Parameters& parameters);
    // Our row's values after `sql`, which takes its row id, run and policy as $1 to $3, and `values` from $4 on.
    pg::Rows change_row(std::optional<pg::Plan>& slot, const char* sql, const pg::Parameters& values);
    void add_dependent(pg::Spi& spi, const DependentChange& change);

    pg::Extension extension_;
    std::int64_t run_id_;
    Oid requested_by_;
    Policy policy_;
    RecordKind kind_;
    // Our row's id: found by it, the row costs the same however many dead versions an old snapshot keeps.
    ItemPointerData row_{};
    ItemPointerData pending_{};
    std::int64_t rows_ = 0;
    std::optional<pg::Plan> batch_plan_;
    std::optional<pg::Plan> partition_plan_;
    std::optional<pg::Plan> partition_audit_plan_;
    std::optional<pg::Plan> control_plan_;
};

// What an error says of itself in the message of a run: with its hint, and with the detail where it is our own.
// PostgreSQL's details show values of rows, which not everybody who sees the run may see.
std::string failure_text(const pg::PgError& error);

// As JSON: [{"reason": ..., "rows": ..., "samples": [...]}, ...].
std::string skipped_json(std::span<const SkippedRows> skipped);

} // namespace pgcleanup
