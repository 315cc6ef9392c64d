// A subtransaction: the only place where an error may be swallowed without ending the transaction.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// Begins on construction. commit() keeps what was done, rollback() undoes it and puts memory context and resource owner
// back; one of them must be called (destruction rolls back).
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
            pg_cleanup_call([this] { pg_leave(RollbackAndReleaseCurrentSubTransaction); });
    }
    Subtransaction(const Subtransaction&) = delete;
    Subtransaction& operator=(const Subtransaction&) = delete;

    void commit() { leave(ReleaseCurrentSubTransaction); }
    void rollback() { leave(RollbackAndReleaseCurrentSubTransaction); }

private:
    void leave(void (*end)())
    {
        open_ = false;
        pg_call([this, end] { pg_leave(end); });
    }
    void pg_leave(void (*end)()) const
    {
        end();
        MemoryContextSwitchTo(context_);
        CurrentResourceOwner = owner_;
    }

    MemoryContext context_;
    ResourceOwner owner_;
    bool open_ = true;
};

} // namespace pgcleanup::pg
