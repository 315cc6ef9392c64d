#include "pg/statement_limit.h"

#include "pg/transaction.h"

extern "C" {
#include "utils/timeout.h"
}

namespace pgcleanup::pg {

StatementLimit::StatementLimit(std::chrono::milliseconds limit) : end_(elapsed_clock() + limit)
{
    pg_call([&] { enable_timeout_after(STATEMENT_TIMEOUT, static_cast<int>(limit.count())); });
}

StatementLimit::~StatementLimit()
{
    pg_cleanup_call([] {
        disable_timeout(STATEMENT_TIMEOUT, true);
        // The alarm may have come when the statement had just ended; it must not cancel what follows.
        if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
            QueryCancelPending = 0;
    });
}

bool StatementLimit::passed() const
{
    return elapsed_clock() >= end_;
}

} // namespace pgcleanup::pg
