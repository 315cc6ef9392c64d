#include "extension/definition_watch.h"

namespace pgcleanup {

namespace {

void pg_on_relation_change(Datum flag, Oid /*relation*/)
{
    *reinterpret_cast<bool*>(DatumGetPointer(flag)) = true;
}

void pg_on_catalog_change(Datum flag, int /*cache*/, uint32 /*hash*/)
{
    *reinterpret_cast<bool*>(DatumGetPointer(flag)) = true;
}

} // namespace

DefinitionWatch::DefinitionWatch()
{
    changed_ = pg::pg_call([] { return static_cast<bool*>(MemoryContextAllocZero(TopMemoryContext, sizeof(bool))); });
    pg::pg_call([this] {
        CacheRegisterRelcacheCallback(pg_on_relation_change, PointerGetDatum(changed_));
        for (const int cache : {PROCOID, OPEROID, TYPEOID, AUTHOID})
            CacheRegisterSyscacheCallback(cache, pg_on_catalog_change, PointerGetDatum(changed_));
    });
}

} // namespace pgcleanup
