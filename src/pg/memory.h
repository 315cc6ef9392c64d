// Memory contexts as scopes.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// Makes `context` the current one until the scope is left.
class ScopedMemoryContext {
public:
    explicit ScopedMemoryContext(MemoryContext context) noexcept : previous_(MemoryContextSwitchTo(context)) {}
    ~ScopedMemoryContext() { MemoryContextSwitchTo(previous_); }
    ScopedMemoryContext(const ScopedMemoryContext&) = delete;
    ScopedMemoryContext& operator=(const ScopedMemoryContext&) = delete;

private:
    MemoryContext previous_;
};

// A context of its own, current until the scope is left, and freed then: bounds what a loop's body may leak.
class TemporaryMemory {
public:
    // `name` must be a literal: PostgreSQL keeps the pointer.
    explicit TemporaryMemory(const char* name)
        : context_(pg_call(
              [&] { return AllocSetContextCreateInternal(CurrentMemoryContext, name, ALLOCSET_DEFAULT_SIZES); })),
          scope_(std::in_place, context_)
    {
    }
    ~TemporaryMemory()
    {
        scope_.reset();
        MemoryContextDelete(context_);
    }
    TemporaryMemory(const TemporaryMemory&) = delete;
    TemporaryMemory& operator=(const TemporaryMemory&) = delete;

private:
    MemoryContext context_;
    std::optional<ScopedMemoryContext> scope_;
};

} // namespace pgcleanup::pg
