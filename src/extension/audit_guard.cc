// The trigger that keeps cleanup_audit append-only for everyone but its owner.
#include "pg/text.h"
#include "pg/version.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_audit_guard);
}

namespace pgcleanup {

namespace {

// Whatever was granted, and whatever the session has set: only who runs the statement counts.
void check_owner(const TriggerData& trigger)
{
    const Oid audit = RelationGetRelid(trigger.tg_relation);
    if (pg::pg_call([&] { return pg::owns_relation(audit, GetUserId()); }))
        return;
    pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
               .message = pg::concat(pg::relation_name(audit), " is append-only"),
               .detail = "Only its owner may change or remove what it records."});
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_audit_guard(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        if (!CALLED_AS_TRIGGER(fcinfo))
            pg::raise({.sqlstate = ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                       .message = "this function is the trigger of cleanup_audit"});
        check_owner(*reinterpret_cast<TriggerData*>(fcinfo->context));
        return PointerGetDatum(nullptr);
    });
}
