// A limit on how long a statement of ours may run.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// While it lives, what runs is cancelled once the time is over, as statement_timeout would do it: with query_canceled.
// Only for background workers, where nothing else uses that timer.
class StatementLimit {
public:
    explicit StatementLimit(std::chrono::milliseconds limit);
    ~StatementLimit();
    StatementLimit(const StatementLimit&) = delete;
    StatementLimit& operator=(const StatementLimit&) = delete;

    bool passed() const;

private:
    std::chrono::microseconds end_;
};

} // namespace pgcleanup::pg
