// cleanup_run.
#include "extension/arguments.h"
#include "extension/calls.h"
#include "extension/eligibility.h"
#include "extension/leaf_statements.h"
#include "extension/owner_session.h"
#include "extension/policy_state.h"
#include "extension/rights.h"
#include "extension/run_caller.h"
#include "extension/settings.h"
#include "extension/transaction_rules.h"
#include "pg/look.h"
#include "pg/result_set.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_run);
}

namespace pgcleanup {

namespace {

using pg::concat;
using pg::pg_call;

// A hundred years: no run takes longer, and a clock that it is added to does not overflow.
constexpr double longest_duration = 100 * 365.0 * USECS_PER_DAY;

// The arguments of cleanup_run, as they were given.
struct RunArguments {
    std::string policy;
    std::optional<std::string> retain;
    std::optional<TimestampTz> age_from;
    std::optional<TimestampTz> age_to;
    std::optional<std::int64_t> max_rows;
    std::optional<std::int64_t> max_microseconds;
    std::optional<TimestampTz> as_of;
    bool force = false;
    bool wait = true;
};

[[noreturn]] void refuse(std::string message, std::string detail, std::string hint)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

std::optional<std::int64_t> duration_argument(FunctionCallInfo fcinfo, int n)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    const Interval* interval = PG_GETARG_INTERVAL_P(n);
    const double days = static_cast<double>(interval->month) * DAYS_PER_MONTH + interval->day;
    const double microseconds = static_cast<double>(interval->time) + days * USECS_PER_DAY;
    if (microseconds < 1)
        refuse("max_duration must be positive", concat("It is ", pg::output_text(PG_GETARG_DATUM(n), INTERVALOID), "."),
               "Leave it out for no limit.");
    return static_cast<std::int64_t>(std::min(microseconds, longest_duration));
}

bool flag_argument(FunctionCallInfo fcinfo, int n, const char* name)
{
    if (PG_ARGISNULL(n))
        pg::raise(
            {.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = concat(name, " must be true or false, not NULL")});
    return PG_GETARG_BOOL(n);
}

RunArguments run_arguments(FunctionCallInfo fcinfo)
{
    RunArguments arguments;
    arguments.policy = policy_argument(fcinfo, 0);
    arguments.retain = interval_argument(fcinfo, 1);
    arguments.age_from = time_argument(fcinfo, 2, "age_from");
    arguments.age_to = time_argument(fcinfo, 3, "age_to");
    if (!PG_ARGISNULL(4))
        arguments.max_rows = PG_GETARG_INT64(4);
    arguments.max_microseconds = duration_argument(fcinfo, 5);
    arguments.as_of = time_argument(fcinfo, 6, "as_of");
    arguments.force = flag_argument(fcinfo, 7, "force");
    arguments.wait = flag_argument(fcinfo, 8, "wait");
    return arguments;
}

void check_limits(const RunArguments& arguments)
{
    if (arguments.max_rows && *arguments.max_rows < 1)
        refuse("max_rows must be at least 1", concat("It is ", *arguments.max_rows, "."), "Leave it out for no limit.");
    check_age_range(arguments.age_from, arguments.age_to);
    const bool is_narrowed = arguments.retain || arguments.age_from || arguments.age_to || arguments.as_of;
    if (is_narrowed && arguments.policy == every_policy)
        refuse("retain, age_from, age_to and as_of need the name of a policy",
               "They mean something else for each policy.", "Call cleanup_run once for each policy.");
    if (arguments.retain && arguments.as_of)
        refuse("retain and as_of cannot be given together", "Each of them decides the cutoff.", "Give one of them.");
}

// as_of takes the cutoff that a dry run showed. A later one than the policy's own would delete what should stay.
void check_as_of(const RunArguments& arguments, const Policy& policy, TimestampTz start)
{
    if (!arguments.as_of)
        return;
    const std::optional<TimestampTz> cutoff = cutoff_at(policy, start, std::nullopt);
    if (!cutoff)
        refuse("as_of needs a policy with an age", concat("Policy \"", policy.name, "\" has only a condition."), "");
    if (*arguments.as_of > *cutoff)
        refuse("as_of is later than the policy's cutoff",
               concat("as_of is the cutoff to use; that of policy \"", policy.name, "\" is now ",
                      pg::output_text(TimestampTzGetDatum(*cutoff), TIMESTAMPTZOID), "."),
               "Take as_of from the cutoff that cleanup_dry_run shows; to delete younger rows, give a shorter retain.");
}

// To lift the breaker, or to delete rows that the policy would keep, is more than to run it.
void check_may_go_further(const RunArguments& arguments, const Policy& policy, const Rights& rights, TimestampTz start)
{
    if (rights.may(Right::administer, policy))
        return;
    const bool is_shorter = arguments.retain && policy.retain && OidIsValid(policy.target) &&
                            cutoff_at(policy, start, arguments.retain) > cutoff_at(policy, start, std::nullopt);
    if (!arguments.force && !is_shorter)
        return;
    pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
               .message = concat("permission denied to ", arguments.force ? "force" : "shorten retain of", " policy \"",
                                 policy.name, "\""),
               .detail = concat("It takes ownership of its target ", policy.target_name,
                                "; or the level admin, for every policy or this one.")});
}

std::vector<Policy> chosen_policies(const RunArguments& arguments, const pg::Extension& extension, Oid role,
                                    TimestampTz start)
{
    const pg::AsExtensionOwner owner(extension);
    pg::Spi spi;
    const Rights rights(spi, extension, role);
    std::vector<Policy> chosen;
    if (arguments.policy != every_policy) {
        chosen.push_back(find_policy_for(spi, extension, arguments.policy, rights, Right::run));
    } else {
        chosen = all_policies(spi, extension);
        std::erase_if(chosen, [&](const Policy& policy) { return !policy.enabled || !rights.may(Right::run, policy); });
    }
    for (const Policy& policy : chosen)
        check_may_go_further(arguments, policy, rights, start);
    return chosen;
}

// Looks without keeping a lock: a caller that waits for the run with a lock on its target would hold up everyone.
PolicyState state_without_lock(const Policy& policy)
{
    const pg::Subtransaction rolled_back;
    return policy_state(policy);
}

// A policy by its name must be able to run; with '*', what cannot is reported in its row.
void check_named_policy(const pg::Extension& extension, const Policy& policy)
{
    const PolicyState state = state_without_lock(policy);
    if (state.condition == PolicyCondition::ready)
        return;
    if (state.condition == PolicyCondition::disabled)
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("policy \"", policy.name, "\" is disabled"),
                   .hint = concat("SELECT ", callable(extension, "cleanup_alter_policy"), "(",
                                  pg::quote_literal(policy.name), ", enabled => true);")});
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = concat("policy \"", policy.name, "\" on table ", policy.target_name, " is ",
                                 state_name(state.condition)),
               .detail = state.reason,
               .hint = state.remedy});
}

std::vector<Oid> tables_of(std::span<const Policy> policies)
{
    std::vector<Oid> tables;
    for (const Policy& policy : policies) {
        if (!OidIsValid(policy.target) || pg_call([&] { return get_rel_name(policy.target); }) == nullptr)
            continue;
        tables.push_back(policy.target);
        if (pg_call([&] { return get_rel_relkind(policy.target); }) != RELKIND_PARTITIONED_TABLE)
            continue;
        List* leaves = pg_call([&] { return find_all_inheritors(policy.target, NoLock, nullptr); });
        const ListCell* cell = nullptr;
        foreach (cell, leaves)
            tables.push_back(lfirst_oid(cell));
    }
    return tables;
}

TaskRequest request_of(const RunArguments& arguments, std::span<const Policy> policies, Oid role, TimestampTz start)
{
    TaskRequest request;
    request.kind = TaskKind::run;
    request.database = MyDatabaseId;
    request.owner = BOOTSTRAP_SUPERUSERID;
    request.policy_id = arguments.policy == every_policy ? 0 : policies.front().id;
    request.requested_by = role;
    request.start = start;
    request.set_retain(arguments.retain);
    request.as_of.set(arguments.as_of);
    request.age_from.set(arguments.age_from);
    request.age_to.set(arguments.age_to);
    request.max_rows.set(arguments.max_rows);
    request.max_microseconds.set(arguments.max_microseconds);
    request.force = arguments.force;
    request.wait = arguments.wait;
    request.batch_target_ms = static_cast<std::int32_t>(batch_target().count());
    request.lock_timeout_ms = static_cast<std::int32_t>(lock_timeout().count());
    return request;
}

pg::Cell run_id_cell(std::int64_t run_id)
{
    return std::to_string(run_id);
}

// What the caller needs to know first is looked up without keeping a lock. He holds his transaction open until the run
// is over: whoever changes the table or drops the extension would wait for him, the workers for that, and he for them.
template <class F>
void look(F&& work)
{
    if (const std::optional<pg::PgError> error = pg::look_and_let_go(std::forward<F>(work)))
        throw pg::PgError(*error);
}

void run(FunctionCallInfo fcinfo)
{
    const pg::ResultSet results(fcinfo);
    check_can_write("cleanup_run()");
    const RunArguments arguments = run_arguments(fcinfo);
    check_limits(arguments);
    const pg::Extension extension = pg::extension();
    const Oid role = GetUserId();
    const TimestampTz start = pg::now();
    std::vector<Policy> policies;
    look([&] { policies = chosen_policies(arguments, extension, role, start); });
    if (policies.empty()) {
        pg::notice(NOTICE, {.message = "there is no enabled policy that you may run",
                            .hint = "Declare one with cleanup_add_policy."});
        return;
    }
    if (arguments.wait)
        check_waiting_transaction(tables_of(policies));
    if (arguments.policy != every_policy) {
        look([&] {
            check_named_policy(extension, policies.front());
            check_as_of(arguments, policies.front(), start);
            cutoff_at(policies.front(), start, arguments.retain);
        });
    }
    const TaskRequest request = request_of(arguments, policies, role, start);
    if (arguments.wait) {
        run_and_wait(request, [&](const std::vector<pg::Cell>& row) { results.row(row); });
        return;
    }
    const pg::Cell run_id = run_id_cell(start_run_at_commit(request, extension));
    for (const Policy& policy : policies)
        results.row({run_id, policy.name, std::to_string(policy.target), policy.action, "running", "0", "0", "0", "0",
                     "0", "0", std::nullopt, "the run starts when this transaction commits; watch cleanup_progress"});
}

} // namespace

} // namespace pgcleanup

Datum cleanup_run(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::run(fcinfo);
        return Datum(0);
    });
}
