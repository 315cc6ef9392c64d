// The triggers of cleanup_policies: statements by hand are checked like the functions, and every change is audited.
#include "extension/audit.h"
#include "extension/policy_access.h"
#include "extension/policy_rules.h"
#include "extension/policy_state.h"
#include "extension/policy_write.h"
#include "extension/target.h"
#include "extension/target_type.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_policy_check);
PG_FUNCTION_INFO_V1(cleanup_policy_changed);
}

namespace pgcleanup {

namespace {

using pg::concat;

// Rows of the table as policies.

// A row of cleanup_policies. Language settings must be pinned while it is read.
class Row {
public:
    Row(HeapTuple tuple, TupleDesc descriptor) : tuple_(tuple), descriptor_(descriptor) {}

    std::optional<std::string> text(const char* column) const
    {
        const char* value = pg::pg_call([&] { return SPI_getvalue(tuple_, descriptor_, number(column)); });
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    }
    std::string required(const char* column) const
    {
        std::optional<std::string> value = text(column);
        if (!value)
            pg::raise({.sqlstate = ERRCODE_NOT_NULL_VIOLATION,
                       .message = concat("column \"", column, "\" of cleanup_policies must not be NULL")});
        return *std::move(value);
    }
    std::int64_t integer(const char* column) const { return pg::to_int64(required(column)); }
    Datum value(const char* column) const
    {
        bool is_null = false;
        return pg::pg_call([&] { return SPI_getbinval(tuple_, descriptor_, number(column), &is_null); });
    }

private:
    int number(const char* column) const { return SPI_fnumber(descriptor_, column); }

    HeapTuple tuple_;
    TupleDesc descriptor_;
};

Policy to_policy(const Row& row)
{
    Policy policy;
    policy.id = row.integer("policy_id");
    policy.name = row.required("policy");
    policy.target_name = row.required("target");
    policy.target = target_relation(row.value("target"));
    policy.target_is_bound = target_is_bound(row.value("target"));
    policy.age_column = row.text("age_column");
    policy.retain = row.text("retain");
    policy.condition = row.text("condition");
    policy.action = row.required("action");
    policy.set_values = row.text("set_values");
    policy.age_unit = row.text("age_unit");
    policy.guard = row.text("guard");
    policy.on_reference = row.required("on_reference");
    policy.archive_to = row.text("archive_to");
    policy.archive_retain = row.text("archive_retain");
    policy.batch_size = pg::to_optional<std::int32_t>(row.text("batch_size"));
    policy.refuse_above_rows = pg::to_optional<std::int64_t>(row.text("refuse_above_rows"));
    if (const std::optional<std::string> fraction = row.text("refuse_above_fraction"); fraction)
        policy.refuse_above_fraction = pg::to_double(fraction);
    policy.time_zone = row.required("time_zone");
    policy.priority = static_cast<std::int32_t>(row.integer("priority"));
    policy.enabled = row.required("enabled") == "t";
    policy.description = row.text("description");
    policy.keep_last = pg::to_optional<std::int32_t>(row.text("keep_last"));
    policy.keep_per = pg::text_array(row.text("keep_per"));
    policy.partitions = row.required("partitions");
    policy.split_families = row.required("split_families") == "t";
    policy.created_by = row.required("created_by");
    return policy;
}

Policy to_policy(HeapTuple tuple, TupleDesc descriptor)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    return to_policy(Row(tuple, descriptor));
}

// The row with what checking made of it: canonical expressions, a target bound to its table, and the time.
HeapTuple with_changes(HeapTuple tuple, TupleDesc descriptor, const Policy& policy)
{
    constexpr int changed = 5;
    std::array<Datum, changed> values{};
    std::array<bool, changed> nulls = {!policy.condition, !policy.guard, !policy.set_values, false, false};
    if (policy.condition)
        values[0] = pg::text_datum(*policy.condition);
    if (policy.guard)
        values[1] = pg::text_datum(*policy.guard);
    if (policy.set_values)
        values[2] = pg::input_value(*policy.set_values, JSONBOID);
    values[3] = bound_target(policy.target);
    return pg::pg_call([&] {
        values[4] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
        std::array<int, changed> columns = {SPI_fnumber(descriptor, "condition"), SPI_fnumber(descriptor, "guard"),
                                            SPI_fnumber(descriptor, "set_values"), SPI_fnumber(descriptor, "target"),
                                            SPI_fnumber(descriptor, "changed_at")};
        return heap_modify_tuple_by_cols(tuple, descriptor, changed, columns.data(), values.data(), nulls.data());
    });
}

// Before a row is stored: it is checked as the functions check it.

void check_unchangeable(const Policy& before, const Policy& after)
{
    if (before.id != after.id || before.created_by != after.created_by)
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = "policy_id and created_by of a policy cannot be changed"});
}

TextOrigin origin_of(const std::optional<std::string>& before, const std::optional<std::string>& after,
                     bool same_target)
{
    return before == after && same_target ? TextOrigin::canonical : TextOrigin::written;
}

HeapTuple check_update(HeapTuple old_tuple, HeapTuple new_tuple, TupleDesc descriptor)
{
    const Policy before = to_policy(old_tuple, descriptor);
    Policy after = to_policy(new_tuple, descriptor);
    require_right(Right::administer, before);
    check_unchangeable(before, after);
    check_options(after);
    // What is not touched is not judged: a policy that cannot run can still be switched off.
    if (same_definition(before, after))
        return new_tuple;
    check_declaration(after);
    if (!OidIsValid(after.target))
        pg::raise(
            {.sqlstate = ERRCODE_UNDEFINED_TABLE,
             .message = concat("the target ", after.target_name, " of policy \"", after.name, "\" is not there")});
    check_may_say(before, after);
    if (after.target != before.target)
        check_target_ownership(after.target, pg::current_identity().user);
    TextOrigins origins;
    origins.condition = origin_of(before.condition, after.condition, before.target == after.target);
    origins.guard = origin_of(before.guard, after.guard, true);
    origins.set_values = origin_of(before.set_values, after.set_values, before.target == after.target);
    check_and_bind(after, origins);
    return with_changes(new_tuple, descriptor, after);
}

bool may_restore()
{
    const pg::Extension extension = pg::extension();
    const Oid role = pg::current_identity().user;
    return pg::pg_call([&] { return has_privs_of_role(role, extension.owner); });
}

std::int64_t new_policy_id(Oid table)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const pg::AsExtensionOwner as_owner(extension);
    return pg::to_int64(spi.run("SELECT nextval(pg_get_serial_sequence($1::regclass::text, 'policy_id'))",
                                pg::Parameters().oid(table))[0][0]);
}

// Only a restore says who a policy is: with the id of one that is gone would come what that one left behind.
HeapTuple with_new_identity(HeapTuple tuple, Relation table)
{
    const std::string creator = pg::role_name(pg::current_identity().user);
    std::array<Datum, 2> values = {Int64GetDatum(new_policy_id(RelationGetRelid(table))), pg::name_datum(creator)};
    return pg::pg_call([&] {
        TupleDesc descriptor = RelationGetDescr(table);
        std::array<int, 2> columns = {SPI_fnumber(descriptor, "policy_id"), SPI_fnumber(descriptor, "created_by")};
        std::array<bool, 2> nulls{};
        return heap_modify_tuple_by_cols(tuple, descriptor, 2, columns.data(), values.data(), nulls.data());
    });
}

// A target that is not there could become anybody's table.
void check_may_restore(const Policy& policy)
{
    if (may_restore())
        return;
    pg::raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
               .message = concat("the target ", policy.target_name, " of policy \"", policy.name, "\" is not there"),
               .hint = "Only the owner of the extension may restore a policy before its table."});
}

// What a dump or a hand inserts is kept, even if it cannot run (yet).
HeapTuple check_insert(HeapTuple tuple, Relation table)
{
    TupleDesc descriptor = RelationGetDescr(table);
    if (!may_restore())
        tuple = with_new_identity(tuple, table);
    Policy policy = to_policy(tuple, descriptor);
    check_options(policy);
    check_declaration(policy);
    if (!OidIsValid(policy.target)) {
        check_may_restore(policy);
        pg::notice(NOTICE, {.sqlstate = ERRCODE_SUCCESSFUL_COMPLETION,
                            .message = concat("policy \"", policy.name, "\" is unbound: its target ",
                                              policy.target_name, " is not there")});
        return tuple;
    }
    check_target_ownership(policy.target, pg::current_identity().user);
    TextOrigins origins{TextOrigin::unknown, TextOrigin::unknown, TextOrigin::unknown, false};
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] { check_and_bind(policy, origins); });
    if (!error)
        return with_changes(tuple, descriptor, policy);
    pg::notice(WARNING, {.sqlstate = ERRCODE_WARNING,
                         .message = concat("policy \"", policy.name,
                                           "\" is stored as it is, and is broken: ", error->fields().message),
                         .detail = error->fields().detail,
                         .hint = error->fields().hint});
    return tuple;
}

HeapTuple check_statement(const TriggerData& trigger)
{
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger.tg_event);
    HeapTuple result = is_update ? trigger.tg_newtuple : trigger.tg_trigtuple;
    if (OidIsValid(PolicyWrite::actor()))
        return result;
    TupleDesc descriptor = RelationGetDescr(trigger.tg_relation);
    if (is_update)
        return check_update(trigger.tg_trigtuple, trigger.tg_newtuple, descriptor);
    if (TRIGGER_FIRED_BY_INSERT(trigger.tg_event))
        return check_insert(trigger.tg_trigtuple, trigger.tg_relation);
    require_right(Right::administer, to_policy(trigger.tg_trigtuple, descriptor));
    return result;
}

// After it is stored: it is bound and audited.

Datum composite(HeapTuple tuple, TupleDesc descriptor)
{
    return pg::pg_call([&] { return heap_copy_tuple_as_datum(tuple, descriptor); });
}

// The members of $1's row that differ in $2's; of every column when there is no $2. NULL when nothing differs.
constexpr const char* changed_members =
    "SELECT jsonb_object_agg(key, one.value)::text FROM jsonb_each(to_jsonb($1)) one "
    "LEFT JOIN jsonb_each(to_jsonb($2)) other USING (key) "
    "WHERE key <> 'changed_at' AND one.value IS DISTINCT FROM other.value";

pg::Cell members(pg::Spi& spi, const pg::Extension& extension, const TriggerData& trigger, HeapTuple one,
                 HeapTuple other)
{
    TupleDesc descriptor = RelationGetDescr(trigger.tg_relation);
    pg::Parameters parameters;
    parameters.value(descriptor->tdtypeid, composite(one, descriptor));
    if (other == nullptr)
        parameters.value(descriptor->tdtypeid, 0, true);
    else
        parameters.value(descriptor->tdtypeid, composite(other, descriptor));
    const pg::AsExtensionOwner as_owner(extension);
    return spi.run(changed_members, parameters)[0][0];
}

void audit_change(const TriggerData& trigger, Oid actor)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(trigger.tg_event);
    HeapTuple now = is_update ? trigger.tg_newtuple : nullptr;
    const pg::Cell was = members(spi, extension, trigger, trigger.tg_trigtuple, now);
    if (!was)
        return;
    const Policy policy = to_policy(is_update ? now : trigger.tg_trigtuple, RelationGetDescr(trigger.tg_relation));
    pg::JsonObject details;
    details.json("old", *was);
    if (is_update)
        details.json("new", members(spi, extension, trigger, now, trigger.tg_trigtuple).value_or("{}"));
    AuditRecord record;
    record.event = is_update ? "policy_changed" : "policy_dropped";
    record.policy = policy.name;
    record.policy_id = policy.id;
    record.target = policy.target_name;
    record.details = details.str();
    record.actor = actor;
    write_audit(spi, extension, record);
}

void bind(const Policy& policy)
{
    pg::Spi spi;
    write_binding(spi, pg::extension(), policy.id, fingerprint(policy));
}

void bind_statement(const TriggerData& trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger.tg_relation);
    if (TRIGGER_FIRED_BY_INSERT(trigger.tg_event)) {
        const Policy policy = to_policy(trigger.tg_trigtuple, descriptor);
        if (policy.target_is_bound && OidIsValid(policy.target))
            pg::try_in_subtransaction([&] { bind(policy); }); // if that fails, it was stored as it is
        return;
    }
    const Policy before = to_policy(trigger.tg_trigtuple, descriptor);
    const Policy after = to_policy(trigger.tg_newtuple, descriptor);
    if (!same_definition(before, after))
        bind(after);
}

void audit_insert(const TriggerData& trigger)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Policy policy = to_policy(trigger.tg_trigtuple, RelationGetDescr(trigger.tg_relation));
    pg::JsonObject details;
    details.json("new", members(spi, extension, trigger, trigger.tg_trigtuple, nullptr).value_or("{}"));
    write_audit(spi, extension,
                {.event = "policy_added",
                 .policy = policy.name,
                 .policy_id = policy.id,
                 .target = policy.target_name,
                 .details = details.str(),
                 .actor = pg::current_identity().user});
}

// An INSERT is audited by the function that makes it; one by hand of who may restore is taken for a restore, whose
// audit comes with it.
void note_change(const TriggerData& trigger)
{
    const bool by_hand = !OidIsValid(PolicyWrite::actor());
    if (by_hand && !TRIGGER_FIRED_BY_DELETE(trigger.tg_event))
        bind_statement(trigger);
    if (!TRIGGER_FIRED_BY_INSERT(trigger.tg_event))
        audit_change(trigger, by_hand ? pg::current_identity().user : PolicyWrite::actor());
    else if (by_hand && !may_restore())
        audit_insert(trigger);
}

const TriggerData& trigger_data(FunctionCallInfo fcinfo)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        pg::raise({.sqlstate = ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                   .message = "this function is the trigger of cleanup_policies"});
    return *reinterpret_cast<TriggerData*>(fcinfo->context);
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_policy_check(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return PointerGetDatum(check_statement(trigger_data(fcinfo))); });
}

Datum cleanup_policy_changed(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        note_change(trigger_data(fcinfo));
        return PointerGetDatum(nullptr);
    });
}
