// cleanup_cancel.
#include "extension/audit.h"
#include "extension/rights.h"
#include "extension/transaction_rules.h"
#include "pg/lock_tag.h"

#include <csignal>

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_cancel);
}

namespace pgcleanup {

namespace {

using pg::concat;
using pg::Parameters;
using pg::pg_call;

// The coordinator is who holds the run's lock for the session; a caller who has just asked holds it too.
constexpr const char* find_run_sql = R"(
SELECT r.status, r.requested_by, (r.request->>'policy_id')::bigint, (
  SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.backend_type = 'pg_cleanup run'
  WHERE l.locktype = 'object' AND l.granted AND l.database = a.datid AND l.classid = $2
    AND l.objid = (r.run_id & 4294967295)::oid AND l.objsubid = $3 LIMIT 1)
FROM @extschema@.cleanup_runs AS r WHERE r.run_id = $1)";

constexpr const char* policies_of_run_sql = R"(
SELECT DISTINCT policy_id FROM @extschema@.cleanup_run_targets WHERE run_id = $1)";

bool is_requester(const std::string& requested_by, Oid member)
{
    const Oid requester = pg_call([&] { return get_role_oid(requested_by.c_str(), true); });
    return OidIsValid(requester) && pg_call([&] { return has_privs_of_role(member, requester); });
}

// What the role may do with the run by way of its policies: the most that it may do with one of them.
std::optional<Right> right_to_run(pg::Spi& spi, const pg::Extension& extension, const Rights& rights,
                                  std::int64_t run_id, const pg::Cell& requested_policy)
{
    if (rights.may_with_every_policy(Right::run))
        return Right::run;
    std::vector<std::int64_t> ids;
    if (requested_policy)
        ids.push_back(pg::to_int64(requested_policy));
    for (const auto& row : spi.run(pg::in_extension_schema(policies_of_run_sql, extension), Parameters().int8(run_id)))
        ids.push_back(pg::to_int64(row[0]));
    std::optional<Right> right;
    if (rights.may_with_every_policy(Right::see))
        right = Right::see;
    for (const std::int64_t id : ids) {
        const std::optional<Policy> policy = find_policy(spi, extension, id);
        if (policy && rights.may(Right::run, *policy))
            return Right::run;
        if (policy && rights.may(Right::see, *policy))
            right = Right::see;
    }
    return right;
}

[[noreturn]] void raise_unknown_run(std::int64_t run_id)
{
    pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
               .message = concat("there is no run ", run_id),
               .hint = "SELECT run_id, status FROM cleanup_runs ORDER BY run_id DESC;"});
}

bool cancel(FunctionCallInfo fcinfo)
{
    if (PG_ARGISNULL(0))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "run_id must not be NULL"});
    check_can_write("cleanup_cancel()");
    const std::int64_t run_id = PG_GETARG_INT64(0);
    const pg::Extension extension = pg::extension();
    const Oid role = GetUserId();
    const Oid anchor = pg::lock_anchor(extension.schema);
    const pg::AsExtensionOwner owner(extension);
    pg::Spi spi;
    const pg::Rows rows =
        spi.run(pg::in_extension_schema(find_run_sql, extension),
                Parameters().int8(run_id).oid(anchor).int4(static_cast<std::int32_t>(pg::LockKind::run_alive)));
    if (rows.empty())
        raise_unknown_run(run_id);
    const Rights rights(spi, extension, role);
    const std::optional<Right> right = is_requester(pg::to_text(rows[0][1]), role)
                                           ? Right::run
                                           : right_to_run(spi, extension, rights, run_id, rows[0][2]);
    if (!right)
        raise_unknown_run(run_id);
    if (*right == Right::see)
        pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
                   .message = concat("permission denied to cancel run ", run_id),
                   .detail = concat("It was asked for by role ", pg::to_text(rows[0][1]),
                                    "; others need ownership of one of its targets, or the level operator.")});
    if (pg::to_text(rows[0][0]) != "running" || !rows[0][3])
        return false;
    write_audit(spi, extension, {.event = "cancel", .run_id = run_id, .actor = role});
    kill(static_cast<pid_t>(pg::to_int64(rows[0][3])), SIGINT);
    return true;
}

} // namespace

} // namespace pgcleanup

Datum cleanup_cancel(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] { return BoolGetDatum(pgcleanup::cancel(fcinfo)); });
}
