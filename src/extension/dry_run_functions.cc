// cleanup_dry_run and cleanup_preview: the side of whoever calls them. The work is done in a worker as the target's
// owner.
#include "extension/arguments.h"
#include "extension/calls.h"
#include "extension/dry_run.h"
#include "extension/eligibility.h"
#include "extension/rights.h"
#include "extension/target.h"
#include "extension/task_caller.h"
#include "pg/look.h"
#include "pg/result_set.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_dry_run);
PG_FUNCTION_INFO_V1(cleanup_dry_run_detail);
PG_FUNCTION_INFO_V1(cleanup_preview);
}

namespace pgcleanup {

namespace {

using pg::concat;
using OnRow = std::function<void(const std::vector<pg::Cell>&)>;

constexpr std::size_t dry_run_columns = 14;
constexpr std::int32_t most_preview_rows = 1000;

struct DryRunArguments {
    std::string policy;
    std::optional<std::string> retain;
    std::optional<TimestampTz> age_from;
    std::optional<TimestampTz> age_to;
};

// Workers read what is committed, and would wait for what this transaction has locked.
void check_transaction(const char* function)
{
    if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return;
    pg::raise({.sqlstate = ERRCODE_ACTIVE_SQL_TRANSACTION,
               .message = concat(function, " cannot look from a transaction that has changed something"),
               .detail = "The background worker that looks would not see the changes, or would wait for them.",
               .hint = "Commit first."});
}

// Looks up policies as the extension's owner, and keeps no lock: whoever drops the extension would wait for this
// transaction, the worker for that, and this session for the worker.
void look_up(const std::function<void(pg::Spi& spi, const pg::Extension& extension, Oid role)>& work)
{
    const pg::Extension extension = pg::extension();
    const Oid role = GetUserId();
    const std::optional<pg::PgError> error = pg::look_and_let_go([&] {
        const pg::AsExtensionOwner bookkeeping(extension);
        pg::Spi spi;
        work(spi, extension, role);
    });
    if (error)
        throw pg::PgError(*error);
}

Policy named_policy(const std::string& name)
{
    std::optional<Policy> policy;
    look_up([&](pg::Spi& spi, const pg::Extension& extension, Oid role) {
        policy = find_policy_for(spi, extension, name, Rights(spi, extension, role), Right::see);
    });
    return *std::move(policy);
}

std::vector<Policy> enabled_policies()
{
    std::vector<Policy> policies;
    look_up([&](pg::Spi& spi, const pg::Extension& extension, Oid role) {
        const Rights rights(spi, extension, role);
        policies = all_policies(spi, extension);
        std::erase_if(policies,
                      [&](const Policy& policy) { return !policy.enabled || !rights.may(Right::see, policy); });
    });
    return policies;
}

TaskRequest request_for(TaskKind kind, const Policy& policy, TimestampTz start)
{
    TaskRequest request;
    request.kind = kind;
    request.policy_id = policy.id;
    request.owner = target_owner(policy.target);
    request.requested_by = GetUserId();
    request.start = start;
    // An unbound policy has no owner to be: no worker is needed to say so.
    if (!OidIsValid(request.owner))
        require_ready(policy);
    return request;
}

DryRunArguments dry_run_arguments(FunctionCallInfo fcinfo)
{
    DryRunArguments arguments{policy_argument(fcinfo, 0), interval_argument(fcinfo, 1),
                              time_argument(fcinfo, 2, "age_from"), time_argument(fcinfo, 3, "age_to")};
    check_age_range(arguments.age_from, arguments.age_to);
    if (arguments.policy == every_policy && (arguments.retain || arguments.age_from || arguments.age_to))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = "retain, age_from and age_to need the name of a policy",
                   .detail = "They mean something else for each policy.",
                   .hint = "Call cleanup_dry_run once for each policy."});
    return arguments;
}

void dry_run_named(const DryRunArguments& arguments, TimestampTz start, const OnRow& on_row)
{
    const Policy policy = named_policy(arguments.policy);
    if (arguments.retain && !cutoff_at(policy, start, arguments.retain))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("policy \"", policy.name, "\" has no age, so retain means nothing")});
    TaskRequest request = request_for(TaskKind::dry_run, policy, start);
    request.set_retain(arguments.retain);
    request.age_from.set(arguments.age_from);
    request.age_to.set(arguments.age_to);
    run_task_in_worker(request, on_row);
}

// Trouble of one policy, which must not hide the others; not that of the server or of this session.
bool is_of_the_policy(const pg::PgError& error)
{
    const int error_class = ERRCODE_TO_CATEGORY(error.sqlstate());
    return !error.from_postgres() && error_class != ERRCODE_INSUFFICIENT_RESOURCES &&
           error_class != ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED);
}

// What a policy that cannot be counted shows among the others: its name, and why.
std::vector<pg::Cell> failure_row(const Policy& policy, const pg::PgError& error)
{
    const pg::ErrorFields& fields = error.fields();
    std::vector<pg::Cell> cells(dry_run_columns);
    cells[0] = policy.name;
    if (OidIsValid(policy.target))
        cells[1] = std::to_string(policy.target);
    cells[2] = policy.action;
    const std::string text =
        concat("A run would fail: ", fields.message, fields.detail.empty() ? "" : concat(" (", fields.detail, ")"),
               fields.hint.empty() ? "" : concat(" ", fields.hint));
    cells.back() = pg::text_array_cell(std::span(&text, 1));
    return cells;
}

void dry_run_every(TimestampTz start, const OnRow& on_row)
{
    const std::vector<Policy> policies = enabled_policies();
    if (policies.empty())
        pg::notice(NOTICE, {.message = "there is no enabled policy that you may see",
                            .hint = "Declare one with cleanup_add_policy."});
    for (const Policy& policy : policies) {
        std::optional<pg::PgError> failure;
        try {
            run_task_in_worker(request_for(TaskKind::dry_run, policy, start), on_row);
        } catch (const pg::PgError& error) {
            if (!is_of_the_policy(error))
                throw;
            failure = error;
        }
        if (failure)
            on_row(failure_row(policy, *failure));
    }
}

void dry_run(FunctionCallInfo fcinfo)
{
    const pg::ResultSet results(fcinfo);
    const DryRunArguments arguments = dry_run_arguments(fcinfo);
    check_transaction("cleanup_dry_run");
    const TimestampTz start = pg::now();
    const OnRow on_row = [&](const std::vector<pg::Cell>& cells) { results.row(cells); };
    if (arguments.policy == every_policy)
        dry_run_every(start, on_row);
    else
        dry_run_named(arguments, start, on_row);
}

void dry_run_detail(FunctionCallInfo fcinfo)
{
    const pg::ResultSet results(fcinfo);
    const std::string name = policy_argument(fcinfo, 0);
    if (name == every_policy)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = "cleanup_dry_run_detail needs the name of a policy",
                   .hint = "SELECT policy FROM cleanup_policy_states() lists them."});
    check_transaction("cleanup_dry_run_detail");
    const TaskRequest request = request_for(TaskKind::dry_run_detail, named_policy(name), pg::now());
    run_task_in_worker(request, [&](const std::vector<pg::Cell>& cells) { results.row(cells); });
}

std::int32_t rows_argument(FunctionCallInfo fcinfo, int n)
{
    if (PG_ARGISNULL(n))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "rows must not be NULL"});
    const std::int32_t rows = PG_GETARG_INT32(n);
    if (rows < 1 || rows > most_preview_rows)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("rows must be between 1 and ", most_preview_rows),
                   .detail = concat("It is ", rows, ".")});
    return rows;
}

// A preview shows rows, read as the table's owner: to those who could read them anyway.
void check_may_read(const Policy& policy)
{
    const Oid role = GetUserId();
    if (!OidIsValid(policy.target) || may_manage(policy, role))
        return;
    const bool may_read = pg::pg_call([&] {
        return pg_class_aclcheck(policy.target, role, ACL_SELECT) == ACLCHECK_OK &&
               check_enable_rls(policy.target, role, true) != RLS_ENABLED;
    });
    if (!may_read)
        pg::raise(
            {.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
             .message = concat("permission denied for table ", policy.target_name),
             .detail = "A preview shows rows of the table: it takes SELECT on it, without row security.",
             .hint = concat("cleanup_dry_run counts without showing: SELECT * FROM ",
                            callable(pg::extension(), "cleanup_dry_run"), "(", pg::quote_literal(policy.name), ");")});
}

void preview(FunctionCallInfo fcinfo)
{
    const pg::ResultSet results(fcinfo);
    const std::string name = policy_argument(fcinfo, 0);
    const std::int32_t rows = rows_argument(fcinfo, 1);
    check_transaction("cleanup_preview");
    const Policy policy = named_policy(name);
    check_may_read(policy);
    TaskRequest request = request_for(TaskKind::preview, policy, pg::now());
    request.preview_rows = rows;
    run_task_in_worker(request, [&](const std::vector<pg::Cell>& cells) { results.row(cells); });
}

} // namespace

} // namespace pgcleanup

Datum cleanup_dry_run(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::dry_run(fcinfo);
        return Datum(0);
    });
}

Datum cleanup_dry_run_detail(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::dry_run_detail(fcinfo);
        return Datum(0);
    });
}

Datum cleanup_preview(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::preview(fcinfo);
        return Datum(0);
    });
}
