#include "extension/policy_state.h"

#include "extension/age.h"
#include "extension/audit.h"
#include "extension/calls.h"
#include "extension/expression.h"
#include "extension/fingerprint.h"
#include "extension/keep_newest.h"
#include "extension/owner_rights.h"
#include "extension/policy_rules.h"
#include "extension/policy_write.h"
#include "extension/relation_columns.h"
#include "extension/relation_rules.h"
#include "extension/set_values.h"
#include "extension/target.h"
#include "extension/time_zone.h"
#include "pg/memory.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

void add_uses(const ExpressionTree& expression, Oid relation, ExpressionUses& uses)
{
    pg::pg_call([&] { pg_collect_uses(expression, relation, &uses); });
}

void add_column(const Policy& policy, AttrNumber number, ExpressionUses& uses)
{
    pg::pg_call([&] {
        uses.column_relations = lappend_oid(uses.column_relations, policy.target);
        uses.column_numbers = lappend_int(uses.column_numbers, number);
    });
}

void add_relation(const Policy& policy, const DeclaredRelation& relation, ExpressionUses& uses)
{
    const std::vector<ColumnPair> pairs = column_pairs(relation, policy.target);
    const Oid target = policy.target;
    const Oid related = relation.related;
    for (const ColumnPair& pair : pairs) {
        pg::pg_call([&] {
            uses.relations = list_append_unique_oid(uses.relations, related);
            uses.column_relations = lappend_oid(lappend_oid(uses.column_relations, target), related);
            uses.column_numbers = lappend_int(lappend_int(uses.column_numbers, pair.target), pair.related);
            uses.operators = lappend_oid(uses.operators, pair.equality);
        });
    }
}

void add_set_values(const Policy& policy, ExpressionUses& uses)
{
    for (const SetValue& value : parse_set_values(*policy.set_values)) {
        add_uses(read_canonical_value(policy.target, value.column, value.expression), policy.target, uses);
        add_column(policy, pg::pg_call([&] { return get_attnum(policy.target, value.column.c_str()); }), uses);
    }
}

void add_groups(const Policy& policy, ExpressionUses& uses)
{
    for (const GroupColumn& column : group_columns(policy)) {
        add_column(policy, column.number, uses);
        pg::pg_call([&] { uses.operators = lappend_oid(uses.operators, column.equality); });
    }
}

ExpressionUses uses_of(const Policy& policy)
{
    ExpressionUses uses{};
    pg::pg_call([&] { uses.relations = lappend_oid(uses.relations, policy.target); });
    if (policy.age_column)
        add_column(policy, resolve_age_column(policy.target, *policy.age_column, policy.age_unit).number, uses);
    add_groups(policy, uses);
    if (policy.condition)
        add_uses(read_canonical_condition(policy.target, *policy.condition), policy.target, uses);
    if (policy.guard)
        add_uses(read_canonical_guard(*policy.guard), InvalidOid, uses);
    for (const DeclaredRelation& relation : relations_of(policy))
        add_relation(policy, relation, uses);
    if (policy.set_values)
        add_set_values(policy, uses);
    return uses;
}

// Raises what makes the policy broken.
void check_now(const Policy& policy)
{
    lock_target(policy.target);
    check_target(policy.target);
    check_declaration(policy);
    find_time_zone(policy.time_zone);
    check_relations(policy);
    if (policy.set_values)
        check_set_columns(policy, parse_set_values(*policy.set_values));
    const std::string now = fingerprint(policy);
    if (policy.fingerprint && *policy.fingerprint != now)
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("what it refers to has changed: ", difference(*policy.fingerprint, now))});
}

std::string reason_of(const pg::PgError& error)
{
    const pg::ErrorFields& fields = error.fields();
    return fields.detail.empty() ? fields.message : concat(fields.message, ": ", fields.detail);
}

std::string remedy_of_missing_target(const Policy& policy)
{
    return concat(
        "Make its table again, and name that with cleanup_alter_policy(..., target => ...); or, if the policy "
        "is not needed any more: ",
        call_text(pg::extension(), "cleanup_drop_policy", policy.name));
}

// A policy whose relation is broken cannot be bound anew: the relation has to go first.
std::string remedy_of_broken(const Policy& policy)
{
    const pg::Extension extension = pg::extension();
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (pg::try_in_subtransaction([&] { check_relation(policy, relation); }))
            return concat("Put right what was changed; or remove the relation, and declare what is meant now: SELECT ",
                          qualified(extension, "cleanup_drop_relation"), "(", pg::quote_literal(policy.name), ", ",
                          pg::quote_literal(relation.related_name), ", ", pg::quote_literal(relation.on_columns), ");");
    }
    return concat("Put right what was changed; or, if the policy is meant as things are now: ",
                  call_text(extension, "cleanup_alter_policy", policy.name));
}

} // namespace

const char* state_name(PolicyCondition condition)
{
    switch (condition) {
    case PolicyCondition::ready:
        return "ready";
    case PolicyCondition::disabled:
        return "disabled";
    case PolicyCondition::unbound:
        return "unbound";
    default:
        return "broken";
    }
}

PolicyState policy_state(const Policy& policy, bool ignore_enabled)
{
    if (!policy.enabled && !ignore_enabled)
        return {PolicyCondition::disabled, "it is disabled", {}};
    if (!OidIsValid(policy.target))
        return {PolicyCondition::unbound, concat("its target ", policy.target_name, " is not there"),
                remedy_of_missing_target(policy)};
    if (const std::optional<DeclaredRelation> missing = relation_without_table(policy))
        return {PolicyCondition::unbound, missing_table_text(*missing), missing_table_remedy(*missing)};
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] { check_now(policy); });
    if (error)
        return {PolicyCondition::broken, reason_of(*error), remedy_of_broken(policy)};
    return {};
}

std::string fingerprint(const Policy& policy)
{
    const pg::TemporaryMemory memory("pg_cleanup fingerprint");
    const InOwnersRights in_owners_rights(target_owner(policy.target), "pg_catalog, pg_temp");
    const CanonicalSettings settings;
    return describe_uses(uses_of(policy));
}

void store_binding(pg::Spi& spi, const pg::Extension& extension, const Policy& policy)
{
    const Oid actor = pg::current_identity().user;
    write_binding(spi, extension, policy.id, fingerprint(policy));
    {
        const PolicyWrite write(actor);
        const pg::AsExtensionOwner as_owner(extension);
        spi.run(pg::in_extension_schema("UPDATE @extschema@.cleanup_policies SET target = "
                                        "$1::oid::regclass::@extschema@.cleanup_target WHERE policy_id = $2",
                                        extension),
                pg::Parameters().oid(policy.target).int8(policy.id));
        spi.run(pg::in_extension_schema("UPDATE @extschema@.cleanup_relations SET related = "
                                        "related::regclass::@extschema@.cleanup_target WHERE policy_id = $1 "
                                        "AND NOT @extschema@.cleanup_target_is_bound(related)",
                                        extension),
                pg::Parameters().int8(policy.id));
    }
    AuditRecord record;
    record.event = "policy_bound";
    record.policy = policy.name;
    record.policy_id = policy.id;
    record.target = policy.target_name;
    record.actor = actor;
    write_audit(spi, extension, record);
}

} // namespace pgcleanup
