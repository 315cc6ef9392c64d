#include "extension/policy_rules.h"

#include "extension/age.h"
#include "extension/archives.h"
#include "extension/eligibility.h"
#include "extension/expression.h"
#include "extension/keep_newest.h"
#include "extension/owner_rights.h"
#include "extension/policy_state.h"
#include "extension/relation_rules.h"
#include "extension/set_values.h"
#include "extension/target.h"
#include "extension/time_zone.h"
#include "pg/text.h"
#include "pg/transaction.h"

namespace pgcleanup {

namespace {

using pg::concat;

constexpr std::int32_t largest_batch = 1'000'000;

[[noreturn]] void refuse(std::string message, std::string hint = {}, int sqlstate = ERRCODE_INVALID_PARAMETER_VALUE)
{
    pg::raise({.sqlstate = sqlstate, .message = std::move(message), .hint = std::move(hint)});
}

void check_name(const std::string& name)
{
    if (name.empty())
        refuse("a policy's name must not be empty", {}, ERRCODE_INVALID_NAME);
    if (name == "*")
        refuse("a policy must not be called \"*\"", "'*' stands for all policies.", ERRCODE_INVALID_NAME);
    if (name.size() >= NAMEDATALEN)
        pg::raise({.sqlstate = ERRCODE_NAME_TOO_LONG,
                   .message = concat("a policy's name has at most ", NAMEDATALEN - 1, " bytes"),
                   .detail = concat("\"", name, "\" has ", name.size(), ".")});
}

void check_choice(const char* what, const std::string& value, std::span<const char* const> supported,
                  std::span<const char* const> later)
{
    const auto is_value = [&](const char* word) { return value == word; };
    if (std::any_of(supported.begin(), supported.end(), is_value))
        return;
    if (std::any_of(later.begin(), later.end(), is_value))
        refuse(concat(what, " '", value, "' is not supported yet"), concat("Use '", supported.front(), "'."),
               ERRCODE_FEATURE_NOT_SUPPORTED);
    std::string choices;
    for (std::size_t n = 0; n < supported.size(); ++n)
        choices += concat(n == 0 ? "'" : n + 1 == supported.size() ? " or '" : ", '", supported[n], "'");
    refuse(concat(what, " '", value, "' is not known"), concat("Use ", choices, "."));
}

void check_choices(const Policy& policy)
{
    static constexpr std::array actions{"delete", "update", "archive"};
    static constexpr std::array later_actions{"files"};
    static constexpr std::array references{"follow", "skip", "error"};
    check_choice("action", policy.action, actions, later_actions);
    check_choice("on_reference", policy.on_reference, references, {});
    if (policy.split_families && updates_rows(policy))
        refuse("split_families means nothing with action 'update'", "Only what is deleted takes other rows along.");
}

void check_action_declaration(const Policy& policy)
{
    check_archive_options(policy);
    if (!updates_rows(policy)) {
        if (policy.set_values)
            refuse(concat("set_values means nothing with action '", policy.action, "'"),
                   "Say action => 'update', or leave set_values out; cleanup_alter_policy clears it with clear => "
                   "'{set_values}'.");
        return;
    }
    if (!policy.set_values)
        refuse("a policy with action 'update' needs set_values",
               R"(Say what becomes of a row: set_values => '{"status": "''closed''"}'.)");
    parse_set_values(*policy.set_values);
}

void check_numbers(const Policy& policy)
{
    if (policy.batch_size && (*policy.batch_size < 1 || *policy.batch_size > largest_batch))
        refuse(concat("batch_size ", *policy.batch_size, " is not between 1 and ", largest_batch),
               "Leave it out for batches that adapt to pg_cleanup.batch_target_ms.");
    if (policy.refuse_above_rows && *policy.refuse_above_rows < 1)
        refuse(concat("refuse_above_rows ", *policy.refuse_above_rows, " is not positive"));
    // Written so that NaN is refused too.
    if (policy.refuse_above_fraction && !(*policy.refuse_above_fraction > 0 && *policy.refuse_above_fraction <= 1))
        refuse("refuse_above_fraction must be above 0 and at most 1",
               "It is a share of the table's rows: 0.5 is half of them.");
}

void check_age_declaration(const Policy& policy)
{
    if (policy.age_column && !policy.retain)
        refuse("a policy with an age_column needs retain", "Say how long rows are kept: retain => '30 days'.");
    if (policy.retain && !policy.age_column)
        refuse("a policy with retain needs an age_column", "Name the column that says how old a row is.");
    if (policy.age_unit && !policy.age_column)
        refuse("a policy with an age_unit needs an age_column");
    if (!policy.age_column && !policy.condition)
        refuse("a policy needs an age or a condition",
               "Without either, every row would be due: give age_column and retain, or condition.");
    if (policy.retain)
        check_retain(*policy.retain, "retain");
}

void check_keep_declaration(const Policy& policy)
{
    if (!policy.keep_last && !policy.keep_per.empty())
        refuse("keep_per needs keep_last", "Say how many rows of each group stay: keep_last => 10.");
    if (!policy.keep_last)
        return;
    if (*policy.keep_last < 1)
        refuse(concat("keep_last ", *policy.keep_last, " is not positive"),
               "Leave it out to keep rows by their age alone.");
    if (!policy.age_column)
        refuse("keep_last needs an age_column", "It says which rows are the newest: give age_column and retain.");
    for (auto name = policy.keep_per.begin(); name != policy.keep_per.end(); ++name)
        if (std::find(policy.keep_per.begin(), name, *name) != name)
            refuse(concat("keep_per names column \"", *name, "\" twice"));
}

std::string canonical(const Policy& policy, TextOrigin origin)
{
    switch (origin) {
    case TextOrigin::canonical:
        read_canonical_condition(policy.target, *policy.condition);
        return *policy.condition;
    case TextOrigin::unknown:
        return adopted_condition(policy.target, *policy.condition);
    default:
        return canonical_condition(policy.target, *policy.condition);
    }
}

std::string canonical_guard_of(const Policy& policy, TextOrigin origin)
{
    switch (origin) {
    case TextOrigin::canonical:
        read_canonical_guard(*policy.guard);
        return *policy.guard;
    case TextOrigin::unknown:
        return adopted_guard(*policy.guard);
    default:
        return canonical_guard(*policy.guard);
    }
}

std::string canonical_value_of(const Policy& policy, const SetValue& value, TextOrigin origin)
{
    switch (origin) {
    case TextOrigin::canonical:
        read_canonical_value(policy.target, value.column, value.expression);
        return value.expression;
    case TextOrigin::unknown:
        return adopted_value(policy.target, value.column, value.expression);
    default:
        return canonical_value(policy.target, value.column, value.expression);
    }
}

std::string canonical_set_values(const Policy& policy, TextOrigin origin)
{
    std::vector<SetValue> values = parse_set_values(*policy.set_values);
    check_set_columns(policy, values);
    for (SetValue& value : values)
        value.expression = canonical_value_of(policy, value, origin);
    return print_set_values(values);
}

void check_age(const Policy& policy, bool look_at_rows)
{
    if (!policy.age_column)
        return;
    const AgeColumn column = resolve_age_column(policy.target, *policy.age_column, policy.age_unit);
    cutoff_at(policy, pg::now(), std::nullopt);
    if (!look_at_rows)
        return;
    pg::Spi spi;
    check_age_unit(spi, policy.target, column);
}

} // namespace

bool same_definition(const Policy& left, const Policy& right)
{
    return left.target == right.target && left.target_name == right.target_name &&
           left.age_column == right.age_column && left.retain == right.retain && left.condition == right.condition &&
           left.action == right.action && left.set_values == right.set_values && left.age_unit == right.age_unit &&
           left.guard == right.guard && left.on_reference == right.on_reference &&
           left.archive_to == right.archive_to && left.archive_retain == right.archive_retain &&
           left.time_zone == right.time_zone && left.keep_last == right.keep_last && left.keep_per == right.keep_per;
}

void check_options(const Policy& policy)
{
    static constexpr std::array partitions{"drop", "detach", "rows"};
    check_name(policy.name);
    check_numbers(policy);
    check_choice("partitions", policy.partitions, partitions, {});
}

void check_declaration(const Policy& policy)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    check_choices(policy);
    check_action_declaration(policy);
    check_age_declaration(policy);
    check_keep_declaration(policy);
}

void check_whole_declaration(const Policy& policy)
{
    check_options(policy);
    check_declaration(policy);
}

std::string check_and_bind(Policy& policy, const TextOrigins& origins)
{
    lock_target(policy.target);
    check_target(policy.target);
    find_time_zone(policy.time_zone);
    {
        const InOwnersRights in_owners_rights(target_owner(policy.target), explicit_search_path());
        check_age(policy, origins.look_at_rows);
        group_columns(policy);
        if (policy.condition)
            policy.condition = canonical(policy, origins.condition);
        if (policy.guard)
            policy.guard = canonical_guard_of(policy, origins.guard);
        if (policy.set_values)
            policy.set_values = canonical_set_values(policy, origins.set_values);
    }
    check_relations(policy);
    if (policy.action == "archive" && origins.look_at_rows)
        Archives(policy, 0, target_owner(policy.target)).check();
    return fingerprint(policy);
}

} // namespace pgcleanup
