#include "extension/grants.h"

#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_grant_bind);
}

namespace pgcleanup {

namespace {

constexpr const char* grants_sql =
    "SELECT g.grant_id, g.role, g.level, g.policy, b.role, r.rolname FROM @extschema@.cleanup_grants g "
    "LEFT JOIN @extschema@.cleanup_grant_bindings b USING (grant_id) LEFT JOIN pg_roles r ON r.oid = b.role "
    "ORDER BY g.grant_id";

constexpr const char* refresh_sql =
    "UPDATE @extschema@.cleanup_grants g SET role = r.rolname FROM @extschema@.cleanup_grant_bindings b "
    "JOIN pg_roles r ON r.oid = b.role WHERE b.grant_id = g.grant_id AND g.role <> r.rolname";

constexpr const char* bind_sql = "INSERT INTO @extschema@.cleanup_grant_bindings (grant_id, role) "
                                 "SELECT $1, r.oid FROM pg_roles r WHERE r.rolname = $2";

void bind(const TriggerData& trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger.tg_relation);
    const auto column = [&](const char* name) {
        bool is_null = false;
        return pg::pg_call(
            [&] { return SPI_getbinval(trigger.tg_trigtuple, descriptor, SPI_fnumber(descriptor, name), &is_null); });
    };
    const std::int64_t id = DatumGetInt64(column("grant_id"));
    const Name role = DatumGetName(column("role"));
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema(bind_sql, extension), pg::Parameters().int8(id).name(std::string(NameStr(*role))));
}

} // namespace

std::string grant_text(const Grant& grant)
{
    return pg::concat(grant.level, " of ",
                      grant.policy ? pg::concat("policy \"", *grant.policy, "\"") : "every policy");
}

std::vector<Grant> all_grants(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    std::vector<Grant> grants; // also what this command has changed
    for (const auto& row : spi.run(pg::in_extension_schema(grants_sql, extension)))
        grants.push_back({pg::to_int64(row[0]), pg::to_text(row[1]), pg::to_text(row[2]), row[3],
                          row[4] ? static_cast<Oid>(pg::to_int64(row[4])) : InvalidOid, row[5]});
    return grants;
}

void refresh_grant_names(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema(refresh_sql, extension));
}

} // namespace pgcleanup

Datum cleanup_grant_bind(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        if (!CALLED_AS_TRIGGER(fcinfo))
            pgcleanup::pg::raise({.sqlstate = ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                                  .message = "this function is the trigger of cleanup_grants"});
        pgcleanup::bind(*reinterpret_cast<TriggerData*>(fcinfo->context));
        return PointerGetDatum(nullptr);
    });
}
