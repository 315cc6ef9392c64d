// The triggers of cleanup_relations: statements by hand are checked like the functions, and every change binds its
// policy and is audited.
#include "extension/audit.h"
#include "extension/dry_run.h"
#include "extension/policy_access.h"
#include "extension/policy_write.h"
#include "extension/relation_columns.h"
#include "extension/relation_rules.h"
#include "extension/relation_write.h"
#include "extension/target_type.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_relation_check);
PG_FUNCTION_INFO_V1(cleanup_relation_changed);
}

namespace pgcleanup {

namespace {

using pg::concat;

std::string column_text(HeapTuple tuple, TupleDesc descriptor, const char* column)
{
    const char* value = pg::pg_call([&] { return SPI_getvalue(tuple, descriptor, SPI_fnumber(descriptor, column)); });
    if (value == nullptr)
        pg::raise({.sqlstate = ERRCODE_NOT_NULL_VIOLATION,
                   .message = concat("column \"", column, "\" of cleanup_relations must not be NULL")});
    return value;
}

Datum column_value(HeapTuple tuple, TupleDesc descriptor, const char* column)
{
    bool is_null = false;
    return pg::pg_call([&] { return SPI_getbinval(tuple, descriptor, SPI_fnumber(descriptor, column), &is_null); });
}

DeclaredRelation to_relation(HeapTuple tuple, TupleDesc descriptor)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    DeclaredRelation relation;
    relation.id = pg::to_int64(column_text(tuple, descriptor, "relation_id"));
    relation.policy_id = pg::to_int64(column_text(tuple, descriptor, "policy_id"));
    relation.related_name = column_text(tuple, descriptor, "related");
    relation.related = target_relation(column_value(tuple, descriptor, "related"));
    relation.related_is_bound = target_is_bound(column_value(tuple, descriptor, "related"));
    relation.on_columns = column_text(tuple, descriptor, "on_columns");
    relation.unless_referenced = column_text(tuple, descriptor, "unless_referenced") == "t";
    read_columns(relation);
    return relation;
}

// Locked against every other change of it; nothing: there is none, or no longer.
std::optional<Policy> lock_policy_of(const DeclaredRelation& relation)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const std::optional<Policy> policy = find_policy(spi, extension, relation.policy_id);
    return policy ? lock_policy(spi, extension, policy->name) : std::nullopt;
}

bool may_restore()
{
    const pg::Extension extension = pg::extension();
    const Oid role = pg::current_identity().user;
    return pg::pg_call([&] { return has_privs_of_role(role, extension.owner); });
}

// Before a row is stored: it is checked as the functions check it.

HeapTuple bound(HeapTuple tuple, TupleDesc descriptor, const DeclaredRelation& relation)
{
    std::array<Datum, 1> values = {bound_target(relation.related)};
    return pg::pg_call([&] {
        std::array<int, 1> columns = {SPI_fnumber(descriptor, "related")};
        std::array<bool, 1> nulls{};
        return heap_modify_tuple_by_cols(tuple, descriptor, 1, columns.data(), values.data(), nulls.data());
    });
}

// Only a restore says who made it.
HeapTuple with_creator(HeapTuple tuple, TupleDesc descriptor)
{
    std::array<Datum, 1> values = {pg::name_datum(pg::role_name(pg::current_identity().user))};
    return pg::pg_call([&] {
        std::array<int, 1> columns = {SPI_fnumber(descriptor, "created_by")};
        std::array<bool, 1> nulls{};
        return heap_modify_tuple_by_cols(tuple, descriptor, 1, columns.data(), values.data(), nulls.data());
    });
}

HeapTuple check_insert(HeapTuple tuple, TupleDesc descriptor)
{
    const DeclaredRelation relation = to_relation(tuple, descriptor);
    const std::optional<Policy> policy = lock_policy_of(relation);
    if (!policy)
        return tuple; // the foreign key says so
    require_right(Right::own, *policy);
    if (!OidIsValid(relation.related))
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
                   .message = concat("the related table ", relation.related_name, " is not there"),
                   .hint = "Only the owner of the extension may restore a relation before its table."});
    require_ready(*policy);
    check_relation(*policy, relation);
    check_new_relation(*policy, relation);
    return with_creator(bound(tuple, descriptor, relation), descriptor);
}

// What a dump brings is kept, even if it cannot be followed (yet): the policy's state says why.
HeapTuple check_restore(HeapTuple tuple, TupleDesc descriptor)
{
    const DeclaredRelation relation = to_relation(tuple, descriptor);
    const std::optional<Policy> policy = lock_policy_of(relation);
    if (!policy || !OidIsValid(policy->target) || !OidIsValid(relation.related))
        return tuple;
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] { check_relation(*policy, relation); });
    if (!error)
        return bound(tuple, descriptor, relation);
    pg::notice(WARNING, {.sqlstate = ERRCODE_WARNING,
                         .message = concat("the ", relation_name(relation), " is stored as it is, and policy \"",
                                           policy->name, "\" is broken: ", error->fields().message),
                         .detail = error->fields().detail,
                         .hint = error->fields().hint});
    return tuple;
}

HeapTuple check_update(HeapTuple before, HeapTuple after, TupleDesc descriptor)
{
    const DeclaredRelation was = to_relation(before, descriptor);
    const DeclaredRelation is = to_relation(after, descriptor);
    if (was.id != is.id || was.policy_id != is.policy_id || was.related != is.related ||
        was.related_name != is.related_name || was.on_columns != is.on_columns ||
        column_text(before, descriptor, "created_by") != column_text(after, descriptor, "created_by"))
        pg::raise(
            {.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
             .message = "of a relation only unless_referenced can be changed",
             .hint = "Remove it with cleanup_drop_relation, and declare what is meant with cleanup_add_relation."});
    if (const std::optional<Policy> policy = lock_policy_of(was))
        require_right(Right::own, *policy);
    return after;
}

HeapTuple check_statement(const TriggerData& trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger.tg_relation);
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger.tg_event);
    if (OidIsValid(PolicyWrite::actor()))
        return is_update ? trigger.tg_newtuple : trigger.tg_trigtuple;
    if (is_update)
        return check_update(trigger.tg_trigtuple, trigger.tg_newtuple, descriptor);
    if (TRIGGER_FIRED_BY_INSERT(trigger.tg_event))
        return may_restore() ? check_restore(trigger.tg_trigtuple, descriptor)
                             : check_insert(trigger.tg_trigtuple, descriptor);
    if (const std::optional<Policy> policy = lock_policy_of(to_relation(trigger.tg_trigtuple, descriptor)))
        require_right(Right::own, *policy);
    return trigger.tg_trigtuple;
}

// After it is stored: its policy is bound anew, and the change is audited.

std::string audit_details(const DeclaredRelation& relation)
{
    pg::JsonObject details;
    details.number("relation_id", relation.id)
        .text("related", relation.related_name)
        .json("on_columns", relation.on_columns)
        .boolean("unless_referenced", relation.unless_referenced);
    return details.str();
}

void audit(pg::Spi& spi, const Policy& policy, const char* event, const DeclaredRelation& relation)
{
    const Oid actor = PolicyWrite::actor();
    AuditRecord record;
    record.event = event;
    record.policy = policy.name;
    record.policy_id = policy.id;
    record.target = policy.target_name;
    record.details = audit_details(relation);
    record.actor = OidIsValid(actor) ? actor : pg::current_identity().user;
    write_audit(spi, pg::extension(), record);
}

const char* event_of(const TriggerData& trigger)
{
    if (TRIGGER_FIRED_BY_INSERT(trigger.tg_event))
        return "relation_added";
    return TRIGGER_FIRED_BY_UPDATE(trigger.tg_event) ? "relation_changed" : "relation_dropped";
}

// An INSERT by hand of who may restore is taken for a restore, whose audit comes with it.
void note_change(const TriggerData& trigger)
{
    const bool by_hand = !OidIsValid(PolicyWrite::actor());
    const bool is_insert = TRIGGER_FIRED_BY_INSERT(trigger.tg_event);
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger.tg_event);
    if (is_update && !by_hand)
        return; // bound to its table after a restore
    const pg::Extension extension = pg::extension();
    const DeclaredRelation relation =
        to_relation(is_update ? trigger.tg_newtuple : trigger.tg_trigtuple, RelationGetDescr(trigger.tg_relation));
    pg::Spi spi;
    const std::optional<Policy> policy = find_policy(spi, extension, relation.policy_id);
    if (!policy)
        return; // gone with its policy
    const bool restored = is_insert && by_hand && may_restore();
    if (is_insert)
        bind_added_relation(spi, extension, policy->id, restored);
    else if (!is_update)
        bind_removed_relation(spi, extension, policy->id);
    if (!restored)
        audit(spi, *policy, event_of(trigger), relation);
}

const TriggerData& trigger_data(FunctionCallInfo fcinfo)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        pg::raise({.sqlstate = ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                   .message = "this function is the trigger of cleanup_relations"});
    return *reinterpret_cast<TriggerData*>(fcinfo->context);
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_relation_check(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return PointerGetDatum(check_statement(trigger_data(fcinfo))); });
}

Datum cleanup_relation_changed(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        note_change(trigger_data(fcinfo));
        return PointerGetDatum(nullptr);
    });
}
