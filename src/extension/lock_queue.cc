#include "extension/lock_queue.h"

#include "pg/identity.h"
#include "pg/spi.h"
#include "pg/transaction.h"

namespace pgcleanup {

using pg::concat;

namespace {

// A look takes all of PostgreSQL's lock tables for a moment.
constexpr std::chrono::milliseconds between_looks{50};

constexpr const char* waiting_sql = R"(
SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted AND relation = ANY ($1::oid[])
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') LIMIT 1)";

} // namespace

bool LockQueue::keeps_somebody_waiting()
{
    if (pg::elapsed_clock() < next_look_)
        return false;
    std::string list;
    for (const Oid relation : relations_)
        list += concat(list.empty() ? "" : ",", relation);
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    pg::Spi spi;
    const bool found =
        !spi.run(waiting_sql, pg::Parameters().text(concat("{", list, "}")), pg::Access::read_only).empty();
    next_look_ = pg::elapsed_clock() + between_looks;
    return found;
}

} // namespace pgcleanup
