#include "extension/relation_rules.h"

#include "extension/calls.h"
#include "extension/cascade.h"
#include "extension/relation_columns.h"
#include "extension/set_values.h"
#include "extension/target.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

void check_kind(Oid related)
{
    try {
        check_target(related);
    } catch (const pg::PgError& error) {
        if (error.from_postgres())
            throw;
        pg::ErrorFields fields = error.fields();
        fields.message = concat("cannot make a relation to ", pg::relation_name(related));
        if (fields.sqlstate == ERRCODE_WRONG_OBJECT_TYPE)
            fields.hint = "A relation needs a table, a partitioned table or a partition, of the target's owner.";
        throw pg::PgError(std::move(fields), false);
    }
}

// The run deletes there as the target's owner: another's table is his to clean up.
void check_owner(const Policy& policy, Oid related)
{
    const Oid owner = target_owner(policy.target);
    const Oid related_owner = target_owner(related);
    if (owner == related_owner)
        return;
    const std::string table = pg::relation_name(related);
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = concat("cannot make a relation to ", table),
               .detail = concat("It belongs to role ", pg::role_name(related_owner), ", and ",
                                pg::relation_name(policy.target), " to role ", pg::role_name(owner),
                                ", as whom the policy runs."),
               .hint = concat("ALTER TABLE ", table, " OWNER TO ", pg::quote_identifier(pg::role_name(owner)), ";")});
}

void check_not_itself(const Policy& policy, const DeclaredRelation& relation)
{
    if (topmost_table(policy.target) != topmost_table(relation.related) ||
        relation.target_columns != relation.related_columns)
        return;
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = concat("a relation of ", pg::relation_name(policy.target),
                                 " to itself must pair different "
                                 "columns"),
               .detail = "Each row would match itself.",
               .hint = R"(Rows that point to others of their table: {"id": "parent_id"}.)"});
}

} // namespace

void check_relation(const Policy& policy, const DeclaredRelation& relation)
{
    if (updates_rows(policy))
        pg::raise(
            {.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
             .message = "a policy with action 'update' has no relations",
             .detail = concat("Its rows stay, so nothing goes along from ", pg::relation_name(relation.related), "."),
             .hint = "cleanup_drop_relation removes one."});
    lock_target(relation.related);
    check_kind(relation.related);
    check_owner(policy, relation.related);
    column_pairs(relation, policy.target);
    check_not_itself(policy, relation);
}

void check_relations(const Policy& policy)
{
    if (const std::optional<DeclaredRelation> missing = relation_without_table(policy))
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("policy \"", policy.name, "\" cannot be bound"),
                   .detail = missing_table_text(*missing),
                   .hint = missing_table_remedy(*missing)});
    for (const DeclaredRelation& relation : relations_of(policy))
        check_relation(policy, relation);
}

std::optional<DeclaredRelation> relation_without_table(const Policy& policy)
{
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (!OidIsValid(relation.related))
            return relation;
    }
    return std::nullopt;
}

std::string missing_table_text(const DeclaredRelation& relation)
{
    return concat("its related table ", relation.related_name, " is not there (relation_id ", relation.id,
                  " of cleanup_relations)");
}

std::string missing_table_remedy(const DeclaredRelation& relation)
{
    return concat("Remove the relation, and declare what is meant now: DELETE FROM ",
                  qualified(pg::extension(), "cleanup_relations"), " WHERE relation_id = ", relation.id, ";");
}

} // namespace pgcleanup
