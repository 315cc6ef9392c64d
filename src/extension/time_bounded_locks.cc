#include "extension/time_bounded_locks.h"

#include "pg/transaction.h"

namespace pgcleanup {

using std::chrono::milliseconds;

TimeBoundedLocks::TimeBoundedLocks(milliseconds limit) : end_(pg::elapsed_clock() + limit) {}

milliseconds TimeBoundedLocks::left() const
{
    const auto left = std::chrono::duration_cast<milliseconds>(end_ - pg::elapsed_clock());
    if (left.count() <= 0)
        throw LocksTakeTooLong();
    return left;
}

void TimeBoundedLocks::take(Oid relation, LOCKMODE mode) const
{
    settings_.set("lock_timeout", std::to_string(left().count()));
    pg::pg_call([&] { LockRelationOid(relation, mode); });
}

} // namespace pgcleanup
