#include "pg/transaction.h"

namespace pgcleanup::pg {

WorkerTransaction::WorkerTransaction()
{
    pg_call([] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
    });
    try {
        pg_call([] { PushActiveSnapshot(GetTransactionSnapshot()); });
    } catch (const PgError&) {
        pg_cleanup_call([] { AbortCurrentTransaction(); });
        throw;
    }
}

WorkerTransaction::~WorkerTransaction()
{
    if (open_)
        pg_cleanup_call([] { AbortCurrentTransaction(); });
}

void WorkerTransaction::commit()
{
    pg_call([] {
        PopActiveSnapshot();
        CommitTransactionCommand();
        pgstat_report_stat(false);
    });
    open_ = false;
}

void check_for_interrupts()
{
    pg_call([] { CHECK_FOR_INTERRUPTS(); });
}

void wait_for_latch(std::chrono::milliseconds timeout)
{
    pg_call([&] {
        const int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                                     static_cast<long>(timeout.count()), PG_WAIT_EXTENSION);
        if ((events & WL_LATCH_SET) != 0)
            ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    });
}

TimestampTz now() noexcept
{
    return GetCurrentTimestamp();
}

std::chrono::microseconds elapsed_clock() noexcept
{
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch());
}

} // namespace pgcleanup::pg
