// Several locks that together are waited for, and held before the work begins, no longer than a given time.
#pragma once

#include "pg/settings_scope.h"

namespace pgcleanup {

// The time was over, though perhaps nobody was in the way.
struct LocksTakeTooLong {};

class TimeBoundedLocks {
public:
    // From now on; to be made when the first lock that others may wait for is about to be taken.
    explicit TimeBoundedLocks(std::chrono::milliseconds limit);
    // Takes the lock for the transaction. Throws LocksTakeTooLong, or lock_not_available.
    void take(Oid relation, LOCKMODE mode) const;
    // Throws LocksTakeTooLong when nothing is left.
    std::chrono::milliseconds left() const;
    std::chrono::microseconds end() const noexcept { return end_; }

private:
    std::chrono::microseconds end_;
    pg::SettingsScope settings_;
};

} // namespace pgcleanup
