// The two-sided guard between PostgreSQL's longjmp errors and C++ exceptions.
//
//   pg_call(f)    runs PostgreSQL code; an ereport(ERROR) inside comes out as a PgError. `f` holds plain data only,
//   since
//                 a longjmp runs no destructors.
//   pg_entry(f)   is the whole body of everything that PostgreSQL calls; an exception inside comes out as an ereport,
//                 raised after every C++ handler is left.
//
// Convention: a function named pg_* or taken from PostgreSQL may longjmp and stands inside pg_call; every other
// function of this project may throw and stands inside pg_entry.
#pragma once

#include "pg/error.h"

namespace pgcleanup::pg {

// Puts PostgreSQL's handler stacks back, whichever way a guarded call is left.
class HandlerStacks {
public:
    HandlerStacks() noexcept : exception_(PG_exception_stack), context_(error_context_stack) {}
    ~HandlerStacks() { restore(); }
    HandlerStacks(const HandlerStacks&) = delete;
    HandlerStacks& operator=(const HandlerStacks&) = delete;
    void restore() const noexcept
    {
        PG_exception_stack = exception_;
        error_context_stack = context_;
    }

private:
    sigjmp_buf* exception_;
    ErrorContextCallback* context_;
};

// Takes the current error off PostgreSQL's error stack, in `context`, as values. Throws std::bad_alloc when even that
// cannot be stored; the stack is flushed in any case, or ten such errors would end in a PANIC.
PgError take_current_error(MemoryContext context);

template <class F>
auto pg_call(F&& f) -> std::invoke_result_t<F>
{
    using Result = std::invoke_result_t<F>;
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<F>> || std::is_reference_v<F>,
                  "a longjmp would skip the destructor of what the callable holds");
    if constexpr (!std::is_void_v<Result>) {
        static_assert(std::is_trivially_destructible_v<Result>, "a longjmp would skip the destructor of the result");
    }
    const MemoryContext context = CurrentMemoryContext;
    sigjmp_buf target;
    HandlerStacks stacks;
    if (sigsetjmp(target, 0) == 0) {
        PG_exception_stack = &target;
        return f();
    }
    stacks.restore();
    throw take_current_error(context);
}

// An error on its way out of C++: plain data that a longjmp may leave behind.
struct OutgoingError {
    ErrorData* data;
    bool from_postgres;
};

OutgoingError outgoing(const PgError& error) noexcept;
OutgoingError outgoing_message(int sqlstate, const char* message) noexcept;
[[noreturn]] void report(const OutgoingError& error);

template <class F>
auto pg_entry(F&& body) -> std::invoke_result_t<F>
{
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<F>>,
                  "the error is raised by a longjmp over this frame");
    OutgoingError error{};
    try {
        return body();
    } catch (const PgError& caught) {
        error = outgoing(caught);
    } catch (const std::bad_alloc&) {
        error = outgoing_message(ERRCODE_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception& caught) {
        error = outgoing_message(ERRCODE_INTERNAL_ERROR, caught.what());
    } catch (...) {
        error = outgoing_message(ERRCODE_INTERNAL_ERROR, "unknown C++ exception");
    }
    report(error);
}

// Raises when no transaction is open: catalog look-ups would then crash the process instead of failing.
inline void require_transaction()
{
    if (!IsTransactionState())
        raise({.message = "pg_cleanup: a catalog look-up outside a transaction"});
}

// For destructors: runs PostgreSQL code that must not throw; what it raises goes to the log as a warning.
template <class F>
void pg_cleanup_call(F&& f) noexcept
{
    try {
        pg_call(std::forward<F>(f));
    } catch (const PgError& error) {
        log_error(WARNING, "while cleaning up: ", error);
    } catch (...) { // NOLINT(bugprone-empty-catch): nothing is left to report it with
    }
}

} // namespace pgcleanup::pg
