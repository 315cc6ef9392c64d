// One run, from its first row in cleanup_runs to its last: which policies, one after the other, each in a worker of its
// own as the target's owner. This process runs no owner code, so the locks that it holds stay held.
#pragma once

#include "extension/coordinator_record.h"
#include "extension/policy.h"
#include "extension/relation_locks.h"
#include "extension/schedule.h"
#include "extension/worker_launch.h"
#include "pg/lock_tag.h"
#include "pg/transaction.h"

namespace pgcleanup {

class RunCoordinator {
public:
    explicit RunCoordinator(const TaskChannel& channel);
    // Returns when the run is over and written down. Throws PgError when the run could not even begin or be recorded.
    void execute();

private:
    enum class Ending { none, window_closed, cancelled, interrupted };

    bool begin();
    bool wait_for_caller();
    void begin_row(pg::Spi& spi);
    bool begin_scheduled();
    bool take_schedule(pg::Spi& spi);
    void end_scheduled(pg::Spi& spi) const;
    // Whether the run puts back what another one archived.
    bool is_restore() const noexcept { return request_.restored_run != 0; }
    std::vector<Policy> policies_to_run();
    std::vector<Policy> policies_to_restore();
    void run_one(const Policy& policy);
    void run_in_worker(const Policy& policy);
    Worker start_worker(const Policy& policy);
    void wait_for_worker(Worker& worker);
    void look_for_ending();
    void look_at_schedule();
    void pass_ending_on(Worker& worker);
    void refuse(const Policy& policy, const std::string& status, const std::string& message);
    void close_unfinished(const Policy& policy, const std::string& message);
    void send_result(const Policy& policy);
    void finish(const std::optional<std::string>& message);
    void prune() const;

    const TaskChannel& channel_;
    TaskRequest request_;
    pg::Extension extension_;
    Oid anchor_ = InvalidOid;
    std::int64_t run_id_ = 0;
    std::optional<CoordinatorRecord> record_; // once the run has its row
    std::optional<Schedule> schedule_;        // of a scheduled run
    Ending ending_ = Ending::none;
    std::string cancelled_by_ = "cancelled by request";
    bool ending_passed_on_ = false;
    bool has_answered_ = false; // the worker of a restore has sent what it did
    bool terminated_ = false;
    std::chrono::microseconds terminate_at_{};
    std::optional<pg::PgError> worker_error_;
};

} // namespace pgcleanup
