// Seeing what is committed by now, whatever the statement's or transaction's snapshot is.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// The active snapshot of read-only statements until the scope is left.
class LatestSnapshot {
public:
    LatestSnapshot() : exceptions_at_start_(std::uncaught_exceptions())
    {
        pg_call([] { PushActiveSnapshot(GetLatestSnapshot()); });
    }
    ~LatestSnapshot()
    {
        // After an error the abort pops it, together with those that were pushed above.
        if (std::uncaught_exceptions() == exceptions_at_start_)
            pg_cleanup_call([] { PopActiveSnapshot(); });
    }
    LatestSnapshot(const LatestSnapshot&) = delete;
    LatestSnapshot& operator=(const LatestSnapshot&) = delete;

private:
    int exceptions_at_start_;
};

} // namespace pgcleanup::pg
