#include "extension/settings.h"

namespace pgcleanup {

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): PostgreSQL sets them
int batch_target_ms = 100;
int lock_timeout_ms = 200;
int cancel_grace_ms = 5000;
int history_retain_minutes = 90 * 24 * 60;
int large_table_row_count = 1'000'000;
int max_failing_row_count = 100;
int old_transaction_seconds = 60 * 60;
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
    {"pg_cleanup.old_transaction", "Sets from which age on cleanup_check warns of an open transaction.",
     "The space of rows that were deleted since it began cannot be used again.", &old_transaction_seconds, 0,
     INT_MAX / 1000, PGC_SUSET, GUC_UNIT_S},
});

} // namespace

void define_settings()
{
    pg::pg_call([] {
        for (const IntegerSetting& setting : integer_settings)
            pg_define(setting);
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

std::int64_t max_failing_rows()
{
    return max_failing_row_count;
}

} // namespace pgcleanup
