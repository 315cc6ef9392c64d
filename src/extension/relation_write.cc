#include "extension/relation_write.h"

#include "extension/fingerprint.h"
#include "extension/policy_state.h"
#include "extension/policy_write.h"
#include "extension/relation_rules.h"
#include "pg/subtransaction.h"

namespace pgcleanup {

namespace {

using pg::concat;

void forget_binding(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("DELETE FROM @extschema@.cleanup_bindings WHERE policy_id = $1", extension),
            pg::Parameters().int8(policy_id));
}

} // namespace

void check_new_relation(const Policy& policy, const DeclaredRelation& relation)
{
    for (const DeclaredRelation& other : relations_of(policy)) {
        if (other.id != relation.id && other.related == relation.related && other.on_columns == relation.on_columns)
            pg::raise({.sqlstate = ERRCODE_DUPLICATE_OBJECT,
                       .message = concat("policy \"", policy.name, "\" already has the ", relation_name(relation)),
                       .hint = "cleanup_drop_relation removes it."});
    }
}

std::int64_t insert_relation(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                             const DeclaredRelation& relation)
{
    check_relation(policy, relation);
    check_new_relation(policy, relation);
    const Oid actor = pg::current_identity().user;
    const std::string creator = pg::role_name(actor);
    const PolicyWrite write(actor);
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows =
        spi.run(pg::in_extension_schema(
                    "INSERT INTO @extschema@.cleanup_relations (policy_id, related, on_columns, "
                    "unless_referenced, created_by) VALUES ($1, "
                    "$2::oid::regclass::@extschema@.cleanup_target, $3::jsonb, $4, $5) RETURNING relation_id",
                    extension),
                pg::Parameters()
                    .int8(policy.id)
                    .oid(relation.related)
                    .text(relation.on_columns)
                    .boolean(relation.unless_referenced)
                    .name(creator));
    return pg::to_int64(rows[0][0]);
}

void delete_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t relation_id)
{
    const PolicyWrite write(pg::current_identity().user);
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("DELETE FROM @extschema@.cleanup_relations WHERE relation_id = $1", extension),
            pg::Parameters().int8(relation_id));
}

void bind_added_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id, bool restored)
{
    const std::optional<Policy> policy = find_policy(spi, extension, policy_id);
    // Without a binding it is bound by its next run.
    if (!policy || !policy->fingerprint)
        return;
    const auto bind = [&] { write_binding(spi, extension, policy_id, fingerprint(*policy)); };
    if (!restored)
        bind();
    else if (pg::try_in_subtransaction(bind))
        forget_binding(spi, extension, policy_id);
}

void bind_removed_relation(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id)
{
    const std::optional<Policy> policy = find_policy(spi, extension, policy_id);
    if (!policy || !policy->fingerprint)
        return;
    pg::try_in_subtransaction([&] {
        const std::string now = fingerprint(*policy);
        if (is_part_of(now, *policy->fingerprint))
            write_binding(spi, extension, policy_id, now);
    });
}

} // namespace pgcleanup
