// Looking at something that may fail or be locked, and leaving no trace of the look.
#pragma once

#include "pg/subtransaction.h"

namespace pgcleanup::pg {

// Runs `look`, which only looks, in a subtransaction that is always rolled back, so that every lock it took is let go.
// Needs no transaction id, so it works on a standby; not in a parallel query. Returns the error that it raised, if it
// did; a cancel is thrown on.
template <class F>
std::optional<PgError> look_and_let_go(F&& look)
{
    try {
        const Subtransaction subtransaction;
        look();
    } catch (const PgError& error) {
        if (error.is_cancel())
            throw;
        return error;
    }
    return std::nullopt;
}

} // namespace pgcleanup::pg
