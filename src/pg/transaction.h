// A worker's transactions.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// One top-level transaction of a background worker with an active snapshot. Aborts unless commit() was reached: after
// an error, the exception's way out of this scope is what rolls back.
class WorkerTransaction {
public:
    WorkerTransaction();
    ~WorkerTransaction();
    WorkerTransaction(const WorkerTransaction&) = delete;
    WorkerTransaction& operator=(const WorkerTransaction&) = delete;
    void commit();

private:
    bool open_ = true;
};

// Answers a pending cancel or termination: raises query_canceled, or ends the process.
void check_for_interrupts();

// Sleeps until the latch is set, `timeout` passes, or the postmaster dies (which ends the process), then answers
// interrupts.
void wait_for_latch(std::chrono::milliseconds timeout);

// The wall clock: the one place that asks for it.
TimestampTz now() noexcept;
// Microseconds of a steady clock, for measuring durations.
std::chrono::microseconds elapsed_clock() noexcept;

} // namespace pgcleanup::pg
