// What one process asks a worker to do, and what comes back: plain data in a dynamic shared memory segment, and a
// queue.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

enum class TaskKind : std::int32_t { run, run_policy, restore_policy, dry_run, preview, cron_job, dry_run_detail };

// What asked for a run; what is not manual stops with the window of its schedule, and with pg_cleanup.enabled.
enum class RunTrigger : std::int32_t { manual, schedule, cron };
// As in cleanup_runs.trigger.
const char* trigger_name(RunTrigger trigger);

// A flag with a value, fit for shared memory.
template <class Value>
struct Maybe {
    bool is_set = false;
    Value value{};
    std::optional<Value> get() const { return is_set ? std::optional<Value>(value) : std::nullopt; }
    void set(const std::optional<Value>& from)
    {
        is_set = from.has_value();
        value = from.value_or(Value{});
    }
};

// A job to be made in pg_cron, or to be removed when there is no command.
struct CronJob {
    char name[160] = {};
    char schedule[160] = {};
    char command[160] = {};
    NameData database = {}; // where the command runs
    NameData username = {}; // whose job it is
};

// The request, as plain data. Times are TimestampTz; `retain` is interval text.
struct TaskRequest {
    TaskKind kind = TaskKind::run;
    Oid database = InvalidOid;
    Oid owner = InvalidOid;      // whose rights: a target's owner, or the bootstrap superuser for a run
    std::int32_t connection = 0; // Connection
    std::int64_t policy_id = 0;  // 0: every policy that `requested_by` may run
    std::int64_t run_id = 0;
    RunTrigger trigger = RunTrigger::manual;
    std::int64_t schedule_id = 0; // of a scheduled run
    Oid requested_by = InvalidOid;
    TimestampTz start = 0; // the run's start, from which cutoffs are counted
    bool has_retain = false;
    char retain[128] = {};
    Maybe<TimestampTz> as_of;
    Maybe<TimestampTz> age_from;
    Maybe<TimestampTz> age_to;
    Maybe<TimestampTz> window_closes; // on the clock of schedules
    Maybe<std::int64_t> max_rows;
    Maybe<std::int64_t> max_microseconds;
    std::int64_t restored_run = 0; // of a restore: the run whose rows come back
    bool has_condition = false;
    char condition[8000] = {}; // canonical, over the alias target: of a restore
    bool force = false;
    bool wait = true;
    TransactionId caller_xid = InvalidTransactionId; // wait => false: the run starts when this commits
    CronJob cron_job;
    std::int32_t preview_rows = 20;
    std::int32_t batch_target_ms = 0;
    std::int32_t lock_timeout_ms = 0;

    std::optional<std::string> retain_text() const
    {
        return has_retain ? std::optional<std::string>(retain) : std::nullopt;
    }
    // Raises invalid_parameter_value for a text that is too long to be an interval.
    void set_retain(const std::optional<std::string>& text);
    // Raises program_limit_exceeded for a text that is too long.
    void set_condition(const std::optional<std::string>& text);
};
static_assert(std::is_trivially_copyable_v<TaskRequest>);

// Where a worker sends its rows: text cells in the order of the SQL function's result type.
class TaskReply {
public:
    TaskReply() = default;
    virtual ~TaskReply() = default;
    TaskReply(const TaskReply&) = delete;
    TaskReply& operator=(const TaskReply&) = delete;
    virtual void row(const std::vector<pg::Cell>& cells) = 0;
};

} // namespace pgcleanup
