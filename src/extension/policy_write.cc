#include "extension/policy_write.h"

#include "extension/audit.h"
#include "pg/result_set.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

constexpr const char* columns =
    "policy, target, age_column, retain, condition, action, set_values, age_unit, guard, on_reference, archive_to, "
    "archive_retain, batch_size, refuse_above_rows, refuse_above_fraction, time_zone, priority, enabled, description, "
    "keep_last, keep_per, partitions, split_families";
// A target that is not there has no OID: then the row keeps what it knows of it.
constexpr const char* values = "$1, CASE WHEN $2 = 0 THEN target ELSE $2::oid::regclass::@extschema@.cleanup_target "
                               "END, $3, $4::interval, $5, $6, "
                               "$7::jsonb, $8, $9, $10, $11, $12::interval, $13, $14, $15, $16, $17, $18, $19, "
                               "$20, $21::text[], $22, $23";
constexpr int next_value = 24;

pg::Parameters values_of(const Policy& policy)
{
    pg::Parameters parameters;
    parameters.text(policy.name)
        .oid(policy.target)
        .name(policy.age_column)
        .text(policy.retain)
        .text(policy.condition)
        .text(policy.action)
        .text(policy.set_values)
        .text(policy.age_unit)
        .text(policy.guard)
        .text(policy.on_reference)
        .text(policy.archive_to)
        .text(policy.archive_retain)
        .int4(policy.batch_size)
        .int8(policy.refuse_above_rows);
    parameters.value(FLOAT8OID, Float8GetDatum(policy.refuse_above_fraction.value_or(0)),
                     !policy.refuse_above_fraction.has_value());
    parameters.text(policy.time_zone).int4(policy.priority).boolean(policy.enabled).text(policy.description);
    return parameters.int4(policy.keep_last)
        .text(policy.keep_per.empty() ? pg::Cell() : pg::text_array_cell(policy.keep_per))
        .text(policy.partitions)
        .boolean(policy.split_families);
}

[[noreturn]] void raise_taken(const std::string& name)
{
    pg::raise({.sqlstate = ERRCODE_DUPLICATE_OBJECT,
               .message = pg::concat("policy \"", name, "\" already exists"),
               .hint = "cleanup_alter_policy changes it."});
}

// The unique index has the last word, for a policy of another transaction too.
pg::Rows run_unique(pg::Spi& spi, const std::string& sql, const pg::Parameters& parameters, const std::string& name)
{
    try {
        return spi.run(sql, parameters);
    } catch (const pg::PgError& error) {
        if (error.sqlstate() == ERRCODE_UNIQUE_VIOLATION)
            raise_taken(name);
        throw;
    }
}

} // namespace

// Triggers take no arguments from who makes the change: this is how they know that it is ours.
Oid PolicyWrite::current_actor = InvalidOid; // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

std::int64_t insert_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                           const std::string& fingerprint)
{
    const Oid actor = pg::current_identity().user;
    const std::string creator = pg::role_name(actor);
    const PolicyWrite write(actor);
    const pg::AsExtensionOwner as_owner(extension);
    const std::string sql = pg::concat("INSERT INTO @extschema@.cleanup_policies (", columns, ", created_by) SELECT ",
                                       values, ", $", next_value,
                                       " FROM (SELECT NULL::@extschema@.cleanup_target AS target) nothing "
                                       "RETURNING policy_id, to_jsonb(cleanup_policies)::text");
    pg::Parameters parameters = values_of(policy);
    parameters.name(creator);
    const pg::Rows rows = run_unique(spi, pg::in_extension_schema(sql, extension), parameters, policy.name);
    const std::int64_t id = pg::to_int64(rows[0][0]);
    write_binding(spi, extension, id, fingerprint);
    AuditRecord record;
    record.event = "policy_added";
    record.policy = policy.name;
    record.policy_id = id;
    record.target = policy.target_name;
    record.details = pg::JsonObject().json("new", pg::to_text(rows[0][1])).str();
    record.actor = actor;
    write_audit(spi, extension, record);
    return id;
}

void update_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                   const std::optional<std::string>& fingerprint)
{
    const PolicyWrite write(pg::current_identity().user);
    const pg::AsExtensionOwner as_owner(extension);
    const std::string sql = pg::concat("UPDATE @extschema@.cleanup_policies SET (", columns, ", changed_at) = ROW(",
                                       values, ", now()) WHERE policy_id = $", next_value);
    pg::Parameters parameters = values_of(policy);
    parameters.int8(policy.id);
    run_unique(spi, pg::in_extension_schema(sql, extension), parameters, policy.name);
    if (fingerprint)
        write_binding(spi, extension, policy.id, *fingerprint);
}

void delete_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy)
{
    const PolicyWrite write(pg::current_identity().user);
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("DELETE FROM @extschema@.cleanup_policies WHERE policy_id = $1", extension),
            pg::Parameters().int8(policy.id));
}

std::optional<Policy> lock_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name)
{
    {
        const pg::AsExtensionOwner as_owner(extension);
        spi.run(
            pg::in_extension_schema("SELECT FROM @extschema@.cleanup_policies WHERE policy = $1 FOR UPDATE", extension),
            pg::Parameters().text(name));
    }
    return find_policy(spi, extension, name);
}

void write_binding(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id, const std::string& fingerprint)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("INSERT INTO @extschema@.cleanup_bindings (policy_id, fingerprint) VALUES ($1, $2) "
                                    "ON CONFLICT (policy_id) DO UPDATE SET fingerprint = $2, bound_at = now()",
                                    extension),
            pg::Parameters().int8(policy_id).text(fingerprint));
}

} // namespace pgcleanup
