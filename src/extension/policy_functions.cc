// cleanup_add_policy, cleanup_alter_policy, cleanup_drop_policy.
#include "extension/calls.h"
#include "extension/cron_jobs.h"
#include "extension/policy_access.h"
#include "extension/policy_rules.h"
#include "extension/policy_write.h"
#include "extension/target.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_add_policy);
PG_FUNCTION_INFO_V1(cleanup_alter_policy);
PG_FUNCTION_INFO_V1(cleanup_drop_policy);
}

namespace pgcleanup {

namespace {

using pg::concat;

// The arguments that cleanup_add_policy and cleanup_alter_policy share, in the order of their declaration.
enum Argument {
    argument_policy,
    argument_target,
    argument_age_column,
    argument_retain,
    argument_condition,
    argument_action,
    argument_set_values,
    argument_age_unit,
    argument_guard,
    argument_on_reference,
    argument_archive_to,
    argument_archive_retain,
    argument_batch_size,
    argument_refuse_above_rows,
    argument_refuse_above_fraction,
    argument_time_zone,
    argument_priority,
    argument_enabled,
    argument_description,
    argument_keep_last,
    argument_keep_per,
    argument_partitions,
    argument_split_families,
    argument_clear,
};

std::string required_name(FunctionCallInfo fcinfo)
{
    std::optional<std::string> name = pg::text_argument(fcinfo, argument_policy);
    if (!name)
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "the policy's name must not be NULL"});
    return *std::move(name);
}

// A value of any type as its text, or nothing.
std::optional<std::string> printed_argument(FunctionCallInfo fcinfo, int n, Oid type)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    return pg::output_text(PG_GETARG_DATUM(n), type);
}

template <class Value>
void take(Value& field, std::optional<std::string> given)
{
    if (given)
        field = *std::move(given);
}

// Sets what is given (not NULL), and leaves the rest.
void take_texts(FunctionCallInfo fcinfo, Policy& policy)
{
    take(policy.age_column, pg::name_argument(fcinfo, argument_age_column));
    take(policy.retain, printed_argument(fcinfo, argument_retain, INTERVALOID));
    take(policy.condition, pg::text_argument(fcinfo, argument_condition));
    take(policy.action, pg::text_argument(fcinfo, argument_action));
    take(policy.set_values, printed_argument(fcinfo, argument_set_values, JSONBOID));
    take(policy.age_unit, pg::text_argument(fcinfo, argument_age_unit));
    take(policy.guard, pg::text_argument(fcinfo, argument_guard));
    take(policy.on_reference, pg::text_argument(fcinfo, argument_on_reference));
    take(policy.archive_to, pg::text_argument(fcinfo, argument_archive_to));
    take(policy.archive_retain, printed_argument(fcinfo, argument_archive_retain, INTERVALOID));
    take(policy.time_zone, pg::text_argument(fcinfo, argument_time_zone));
    take(policy.description, pg::text_argument(fcinfo, argument_description));
    take(policy.partitions, pg::text_argument(fcinfo, argument_partitions));
}

void take_numbers(FunctionCallInfo fcinfo, Policy& policy)
{
    if (!PG_ARGISNULL(argument_batch_size))
        policy.batch_size = PG_GETARG_INT32(argument_batch_size);
    if (!PG_ARGISNULL(argument_refuse_above_rows))
        policy.refuse_above_rows = PG_GETARG_INT64(argument_refuse_above_rows);
    if (!PG_ARGISNULL(argument_refuse_above_fraction))
        policy.refuse_above_fraction = PG_GETARG_FLOAT8(argument_refuse_above_fraction);
    if (!PG_ARGISNULL(argument_priority))
        policy.priority = PG_GETARG_INT32(argument_priority);
    if (!PG_ARGISNULL(argument_enabled))
        policy.enabled = PG_GETARG_BOOL(argument_enabled);
    if (!PG_ARGISNULL(argument_keep_last))
        policy.keep_last = PG_GETARG_INT32(argument_keep_last);
    if (!PG_ARGISNULL(argument_keep_per))
        policy.keep_per = pg::text_array(PG_GETARG_DATUM(argument_keep_per));
    if (!PG_ARGISNULL(argument_split_families))
        policy.split_families = PG_GETARG_BOOL(argument_split_families);
}

void take_arguments(FunctionCallInfo fcinfo, Policy& policy)
{
    const pg::SettingsScope settings;
    settings.set("IntervalStyle", "postgres");
    take_texts(fcinfo, policy);
    take_numbers(fcinfo, policy);
}

void set_target(Policy& policy, Oid relation)
{
    lock_target(relation);
    policy.target = relation;
    policy.target_name = pg::relation_name(relation);
    policy.target_is_bound = true;
}

std::int64_t add_policy(FunctionCallInfo fcinfo)
{
    const pg::Extension extension = pg::extension();
    Policy policy;
    policy.name = required_name(fcinfo);
    if (PG_ARGISNULL(argument_target))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "the policy's target must not be NULL"});
    policy.time_zone = pg::current_setting("TimeZone");
    take_arguments(fcinfo, policy);
    if (PG_ARGISNULL(argument_archive_retain))
        policy.archive_retain.reset();
    set_target(policy, PG_GETARG_OID(argument_target));
    check_whole_declaration(policy);
    check_target_ownership(policy.target, pg::current_identity().user);
    const std::string bound_to = check_and_bind(policy, {});
    pg::Spi spi;
    const std::int64_t id = insert_policy(spi, extension, policy, bound_to);
    pg::notice(NOTICE,
               {.sqlstate = ERRCODE_SUCCESSFUL_COMPLETION,
                .message = concat("policy \"", policy.name, "\" is not scheduled; preview it with cleanup_preview"),
                .hint = concat("SELECT * FROM ", callable(extension, "cleanup_preview"), "(",
                               pg::quote_literal(policy.name), ");")});
    return id;
}

// Altering.

struct Clearable {
    const char* name;
    Argument argument;
    void (*clear)(Policy&);
};

constexpr auto clearable = std::to_array<Clearable>({
    {"age_column", argument_age_column, [](Policy& policy) { policy.age_column.reset(); }},
    {"retain", argument_retain, [](Policy& policy) { policy.retain.reset(); }},
    {"condition", argument_condition, [](Policy& policy) { policy.condition.reset(); }},
    {"set_values", argument_set_values, [](Policy& policy) { policy.set_values.reset(); }},
    {"age_unit", argument_age_unit, [](Policy& policy) { policy.age_unit.reset(); }},
    {"guard", argument_guard, [](Policy& policy) { policy.guard.reset(); }},
    {"archive_to", argument_archive_to, [](Policy& policy) { policy.archive_to.reset(); }},
    {"archive_retain", argument_archive_retain, [](Policy& policy) { policy.archive_retain.reset(); }},
    {"batch_size", argument_batch_size, [](Policy& policy) { policy.batch_size.reset(); }},
    {"refuse_above_rows", argument_refuse_above_rows, [](Policy& policy) { policy.refuse_above_rows.reset(); }},
    {"refuse_above_fraction", argument_refuse_above_fraction,
     [](Policy& policy) { policy.refuse_above_fraction.reset(); }},
    {"description", argument_description, [](Policy& policy) { policy.description.reset(); }},
    {"keep_last", argument_keep_last, [](Policy& policy) { policy.keep_last.reset(); }},
    {"keep_per", argument_keep_per, [](Policy& policy) { policy.keep_per.clear(); }},
});

// How a policy runs, as opposed to what it means.
bool is_option(Argument argument)
{
    switch (argument) {
    case argument_batch_size:
    case argument_refuse_above_rows:
    case argument_refuse_above_fraction:
    case argument_priority:
    case argument_enabled:
    case argument_description:
    case argument_partitions:
    case argument_split_families:
        return true;
    default:
        return false;
    }
}

[[noreturn]] void raise_not_clearable(const std::string& name)
{
    std::string names;
    for (const Clearable& one : clearable)
        names += concat(names.empty() ? "" : ", ", one.name);
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = concat("\"", name, "\" cannot be cleared"),
               .hint = concat("What can be: ", names, ".")});
}

const Clearable& find_clearable(const std::string& name)
{
    const auto* one = std::find_if(std::begin(clearable), std::end(clearable),
                                   [&](const Clearable& candidate) { return name == candidate.name; });
    if (one == std::end(clearable))
        raise_not_clearable(name);
    return *one;
}

std::vector<std::string> clear_argument(FunctionCallInfo fcinfo)
{
    return PG_ARGISNULL(argument_clear) ? std::vector<std::string>() : pg::text_array(PG_GETARG_DATUM(argument_clear));
}

TextOrigins origins_of(const Policy& before, const Policy& after)
{
    TextOrigins origins;
    const bool same_target = before.target == after.target;
    if (same_target && before.condition == after.condition)
        origins.condition = TextOrigin::canonical;
    if (same_target && before.set_values == after.set_values)
        origins.set_values = TextOrigin::canonical;
    if (before.guard == after.guard)
        origins.guard = TextOrigin::canonical;
    return origins;
}

// What a call of cleanup_alter_policy asks for.
struct Change {
    Policy policy;
    bool of_options = false;
    bool of_definition = false;

    void note(Argument argument) { (is_option(argument) ? of_options : of_definition) = true; }
};

Change requested_change(FunctionCallInfo fcinfo, const Policy& before)
{
    Change change{before};
    take_arguments(fcinfo, change.policy);
    if (!PG_ARGISNULL(argument_target))
        set_target(change.policy, PG_GETARG_OID(argument_target));
    for (int n = argument_target; n < argument_clear; ++n) {
        if (!PG_ARGISNULL(n))
            change.note(static_cast<Argument>(n));
    }
    for (const std::string& name : clear_argument(fcinfo)) {
        const Clearable& one = find_clearable(name);
        if (!PG_ARGISNULL(one.argument))
            pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                       .message = concat("\"", name, "\" is both given and to be cleared")});
        one.clear(change.policy);
        change.note(one.argument);
    }
    return change;
}

std::string bind_anew(const Policy& before, Policy& after)
{
    check_whole_declaration(after);
    if (!OidIsValid(after.target))
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("the target ", after.target_name, " of policy \"", after.name, "\" is not there"),
                   .hint = "Name its new table with target => ..., or drop the policy."});
    return check_and_bind(after, origins_of(before, after));
}

void alter_policy(FunctionCallInfo fcinfo)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Policy before = lock_policy_for(spi, extension, required_name(fcinfo), Right::administer);
    Change change = requested_change(fcinfo, before);
    check_may_say(before, change.policy);
    if (change.policy.target != before.target)
        check_target_ownership(change.policy.target, pg::current_identity().user);
    // Options alone leave the binding as it is: a policy that is broken can be switched off, and stays broken.
    if (change.of_options && !change.of_definition) {
        check_options(change.policy);
        update_policy(spi, extension, change.policy, std::nullopt);
        return;
    }
    const std::string bound_to = bind_anew(before, change.policy);
    update_policy(spi, extension, change.policy, bound_to);
}

void drop_policy(FunctionCallInfo fcinfo)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Policy policy = lock_policy_for(spi, extension, required_name(fcinfo), Right::administer);
    const std::optional<Schedule> schedule = find_schedule(spi, extension, policy.id);
    delete_policy(spi, extension, policy);
    if (schedule && schedule->kind == ScheduleKind::cron)
        remove_cron_job(extension, *schedule);
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_add_policy(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return Int64GetDatum(add_policy(fcinfo)); });
}

Datum cleanup_alter_policy(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        alter_policy(fcinfo);
        return Datum(0);
    });
}

Datum cleanup_drop_policy(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        drop_policy(fcinfo);
        return Datum(0);
    });
}
