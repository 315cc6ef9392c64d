#include "extension/settings.h"

#include "core/run_window.h"

namespace pgcleanup {

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): PostgreSQL sets them
int batch_target_ms = 100;
int lock_timeout_ms = 200;
int cancel_grace_ms = 5000;
int history_retain_minutes = 90 * 24 * 60;
int large_table_row_count = 1'000'000;
int max_failing_row_count = 100;
int max_unindexed_row_count = 100'000;
int max_family_row_count = 100'000;
int old_transaction_seconds = 60 * 60;
bool is_enabled = true;
bool is_catching_up = false;
char* database_list = nullptr;
char* run_window_text = nullptr;
int scheduled_runs_at_a_time = 2;
int test_clock_seconds = 0;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

constexpr int one_minute_ms = 60 * 1000;
constexpr int one_hour_ms = 60 * one_minute_ms;

// One integer setting, as PostgreSQL wants it.
struct IntegerSetting {
    const char* name;
    const char* summary;
    const char* details;
    int* value;
    int minimum;
    int maximum;
    GucContext context;
    int unit;
};

// May longjmp.
void pg_define(const IntegerSetting& setting)
{
    DefineCustomIntVariable(setting.name, setting.summary, setting.details, setting.value, *setting.value,
                            setting.minimum, setting.maximum, setting.context, setting.unit, nullptr, nullptr, nullptr);
}

const auto integer_settings = std::to_array<IntegerSetting>({
    {"pg_cleanup.batch_target_ms", "Sets how long one batch of a run should take.",
     "The size of batches adapts to this duration. A run takes the value that its caller has.", &batch_target_ms, 1,
     one_minute_ms, PGC_SUSET, GUC_UNIT_MS},
    {"pg_cleanup.lock_timeout", "Sets how long a batch waits for a lock before it skips what is locked.",
     "At run time at most half of deadlock_timeout, so that the application is never the victim of a deadlock.",
     &lock_timeout_ms, 1, one_minute_ms, PGC_SUSET, GUC_UNIT_MS},
    {"pg_cleanup.cancel_grace", "Sets how long a cancelled worker may take before it is terminated.",
     "Code of a table's owner (triggers, functions) can swallow a cancel; it cannot swallow the end of its process.",
     &cancel_grace_ms, 0, one_hour_ms, PGC_SUSET, GUC_UNIT_MS},
    {"pg_cleanup.history_retain", "Sets how long finished runs and the audit are kept.",
     "-1 keeps them for ever. What is removed stays in the sums of cleanup_stats, and leaves a row in the audit.",
     &history_retain_minutes, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN},
    {"pg_cleanup.large_table_rows", "Sets from how many rows on a missing index on the age is warned of.",
     "Compared with the planner's estimate of the target's rows.", &large_table_row_count, 0, INT_MAX, PGC_SUSET, 0},
    {"pg_cleanup.max_failing_rows", "Sets how many rows of a policy may fail in a run before the policy fails.",
     "A row that a constraint or a trigger refuses is left behind and reported; more of them than this stop the "
     "policy.",
     &max_failing_row_count, 0, INT_MAX, PGC_SUSET, 0},
    {"pg_cleanup.max_unindexed_reference_rows",
     "Sets how large a table may be that a run reads for each deleted row, for want of an index.",
     "Compared with the planner's estimate of the referencing table's rows; above it the run is refused. -1: never.",
     &max_unindexed_row_count, -1, INT_MAX, PGC_SUSET, 0},
    {"pg_cleanup.max_family_rows", "Sets from how many rows on a row with all that goes with it is warned of.",
     "Such a family goes in one transaction, however long that takes, unless its policy has split_families.",
     &max_family_row_count, 1, INT_MAX, PGC_SUSET, 0},
    {"pg_cleanup.old_transaction", "Sets from which age on cleanup_check warns of an open transaction.",
     "The space of rows that were deleted since it began cannot be used again.", &old_transaction_seconds, 0,
     INT_MAX / 1000, PGC_SUSET, GUC_UNIT_S},
    {"pg_cleanup.max_workers", "Sets how many scheduled runs may work at a time.",
     "Each takes two of max_worker_processes.", &scheduled_runs_at_a_time, 1, most_scheduled_runs, PGC_SIGHUP, 0},
    {"pg_cleanup.test_clock_offset", "Moves the clock of schedules, for tests.", nullptr, &test_clock_seconds, INT_MIN,
     INT_MAX, PGC_SIGHUP, GUC_UNIT_S | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE},
});

bool pg_check_databases(char** value, void** /*extra*/, GucSource /*source*/)
{
    char* copy = pstrdup(*value);
    List* names = NIL;
    const bool is_list = SplitIdentifierString(copy, ',', &names);
    if (!is_list)
        GUC_check_errdetail("It must be a list of names of databases, with commas between them.");
    list_free(names);
    pfree(copy);
    return is_list;
}

bool pg_check_run_window(char** value, void** /*extra*/, GucSource /*source*/)
{
    if (**value == '\0' || core::parse_run_window(*value))
        return true;
    GUC_check_errdetail("It must be two times of day, like 22:00-06:00, or nothing.");
    return false;
}

// May longjmp.
void pg_define_scheduling()
{
    DefineCustomBoolVariable("pg_cleanup.enabled", "Lets policies run by their schedules.",
                             "Off stops scheduled runs, also those that are going on.", &is_enabled, true, PGC_SIGHUP,
                             0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("pg_cleanup.catch_up", "Makes up for times that were missed while the server was down.",
                             "Once for each schedule, however many times were missed.", &is_catching_up, false,
                             PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("pg_cleanup.databases", "Names the databases in which schedules are kept.",
                               "Empty: all that have the extension.", &database_list, "", PGC_SIGHUP, GUC_LIST_INPUT,
                               pg_check_databases, nullptr, nullptr);
    DefineCustomStringVariable("pg_cleanup.window", "Sets the hours in which scheduled runs may work.",
                               "Like 22:00-06:00, in the time zone of each policy; empty: at any time.",
                               &run_window_text, "", PGC_SUSET, 0, pg_check_run_window, nullptr, nullptr);
}

} // namespace

void define_settings()
{
    pg::pg_call([] {
        for (const IntegerSetting& setting : integer_settings)
            pg_define(setting);
        pg_define_scheduling();
        MarkGUCPrefixReserved("pg_cleanup");
    });
}

std::chrono::milliseconds batch_target()
{
    return std::chrono::milliseconds(batch_target_ms);
}

std::chrono::milliseconds lock_timeout()
{
    return std::chrono::milliseconds(std::max(1, std::min(lock_timeout_ms, DeadlockTimeout / 2)));
}

std::chrono::milliseconds cancel_grace()
{
    return std::chrono::milliseconds(cancel_grace_ms);
}

std::optional<std::chrono::minutes> history_retain()
{
    if (history_retain_minutes < 0)
        return std::nullopt;
    return std::chrono::minutes(history_retain_minutes);
}

std::int64_t large_table_rows()
{
    return large_table_row_count;
}

std::chrono::seconds old_transaction()
{
    return std::chrono::seconds(old_transaction_seconds);
}

std::int64_t max_unindexed_reference_rows()
{
    return max_unindexed_row_count;
}

std::int64_t max_failing_rows()
{
    return max_failing_row_count;
}

std::int64_t max_family_rows()
{
    return max_family_row_count;
}

bool schedules_enabled()
{
    return is_enabled;
}

bool catch_up()
{
    return is_catching_up;
}

std::vector<std::string> scheduled_databases()
{
    std::vector<std::string> names;
    List* parts = pg::pg_call([] {
        List* split = NIL;
        SplitIdentifierString(pstrdup(database_list), ',', &split);
        return split;
    });
    const ListCell* cell = nullptr;
    foreach (cell, parts)
        names.emplace_back(static_cast<const char*>(lfirst(cell)));
    return names;
}

std::string default_run_window()
{
    return run_window_text;
}

int max_scheduled_runs()
{
    return scheduled_runs_at_a_time;
}

std::chrono::seconds test_clock_offset()
{
    return std::chrono::seconds(test_clock_seconds);
}

} // namespace pgcleanup
