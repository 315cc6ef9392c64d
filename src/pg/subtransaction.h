// Errors that may be swallowed: only inside a subtransaction, which is rolled back.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// One subtransaction; rolled back unless commit() was reached. Not in a parallel worker.
class Subtransaction {
public:
    Subtransaction() : context_(CurrentMemoryContext), owner_(CurrentResourceOwner)
    {
        pg_call([] { BeginInternalSubTransaction(nullptr); });
        MemoryContextSwitchTo(context_);
    }
    ~Subtransaction()
    {
        if (open_)
            finish([] { RollbackAndReleaseCurrentSubTransaction(); });
    }
    Subtransaction(const Subtransaction&) = delete;
    Subtransaction& operator=(const Subtransaction&) = delete;
    void commit()
    {
        open_ = false;
        pg_call([] { ReleaseCurrentSubTransaction(); });
        restore();
    }

private:
    template <class F>
    void finish(F&& end) noexcept
    {
        pg_cleanup_call(std::forward<F>(end));
        restore();
    }
    void restore() const noexcept
    {
        MemoryContextSwitchTo(context_);
        CurrentResourceOwner = owner_;
    }

    MemoryContext context_;
    ResourceOwner owner_;
    bool open_ = true;
};

// Errors that say something about the server or the moment, not about what was asked: never to be taken for an answer.
inline bool is_transient(const PgError& error) noexcept
{
    switch (ERRCODE_TO_CATEGORY(error.sqlstate())) {
    case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
    case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
    case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
    case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
        return true;
    default:
        return error.sqlstate() == ERRCODE_LOCK_NOT_AVAILABLE;
    }
}

// Runs `body`; when it fails, undoes what it did and returns the error. Cancel, shutdown, lack of memory, lock timeouts
// and their like are thrown on.
template <class F>
std::optional<PgError> try_in_subtransaction(F&& body)
{
    try {
        Subtransaction subtransaction;
        body();
        subtransaction.commit();
    } catch (const PgError& error) {
        if (is_transient(error))
            throw;
        return error;
    }
    return std::nullopt;
}

} // namespace pgcleanup::pg
