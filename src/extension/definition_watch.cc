#include "extension/definition_watch.h"

namespace pgcleanup {

void DefinitionWatch::pg_on_relation_change(Datum seen, Oid /*relation*/)
{
    reinterpret_cast<Seen*>(DatumGetPointer(seen))->change = true;
}

void DefinitionWatch::pg_on_catalog_change(Datum seen, int cache, uint32 /*hash*/)
{
    auto* flags = reinterpret_cast<Seen*>(DatumGetPointer(seen));
    flags->change = true;
    flags->schema = flags->schema || cache == NAMESPACEOID;
}

DefinitionWatch::DefinitionWatch()
{
    seen_ = pg::pg_call([] { return static_cast<Seen*>(MemoryContextAllocZero(TopMemoryContext, sizeof(Seen))); });
    pg::pg_call([this] {
        CacheRegisterRelcacheCallback(pg_on_relation_change, PointerGetDatum(seen_));
        for (const int cache : {PROCOID, OPEROID, TYPEOID, AUTHOID, NAMESPACEOID})
            CacheRegisterSyscacheCallback(cache, pg_on_catalog_change, PointerGetDatum(seen_));
    });
}

bool DefinitionWatch::changed() noexcept
{
    seen_->schema = false;
    return std::exchange(seen_->change, false);
}

void DefinitionWatch::check_schemas()
{
    pg::pg_call([] { AcceptInvalidationMessages(); });
    if (seen_->schema)
        pg::raise({.sqlstate = ERRCODE_T_R_SERIALIZATION_FAILURE, .message = "a schema was changed meanwhile"});
}

} // namespace pgcleanup
