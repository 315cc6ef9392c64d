#include "extension/coordinator_record.h"

#include "extension/audit.h"

namespace pgcleanup {

using pg::Parameters;

namespace {

constexpr const char* adopt_sql = R"(
UPDATE @extschema@.cleanup_runs SET worker_pid = $2 WHERE run_id = $1)";

constexpr const char* refusal_sql = R"(
INSERT INTO @extschema@.cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, status, message, finished_at)
VALUES ($1, $7, $2, $3, $8, $4, $5, $6, clock_timestamp()))";

constexpr const char* close_sql = R"(
UPDATE @extschema@.cleanup_run_targets
SET status = $3, message = coalesce(message, $4), finished_at = clock_timestamp()
WHERE run_id = $1 AND policy = $2 AND status = 'running')";

constexpr const char* has_target_sql = R"(
SELECT FROM @extschema@.cleanup_run_targets WHERE run_id = $1 AND policy = $2 AND kind IN ('target', 'restore'))";

constexpr const char* result_sql = R"(
SELECT run_id, policy, NULL, action, status, rows, dependent_rows, files_queued, row_bytes, batches, skipped_rows,
       finished_at - started_at, message
FROM @extschema@.cleanup_run_targets WHERE run_id = $1 AND policy = $2 AND kind = 'target')";

constexpr const char* restore_result_sql = R"(
SELECT run_id, policy, NULL, min(status), sum(rows), sum(changed_rows), sum(skipped_rows), NULL, min(message)
FROM @extschema@.cleanup_run_targets WHERE run_id = $1 AND policy = $2 AND kind = 'restore' GROUP BY run_id, policy)";

// All statuses equal: that one. A run in which something failed, was cancelled or interrupted is not `succeeded`.
constexpr const char* finish_sql = R"(
UPDATE @extschema@.cleanup_runs AS r
SET finished_at = clock_timestamp(), worker_pid = NULL, message = $3, status = coalesce($2, (
  SELECT CASE WHEN count(*) = 0 THEN 'succeeded'
              WHEN count(DISTINCT t.status) = 1 THEN min(t.status)
              WHEN bool_or(t.status = 'interrupted') THEN 'interrupted'
              WHEN bool_or(t.status = 'cancelled') THEN 'cancelled'
              ELSE 'partial' END
  FROM @extschema@.cleanup_run_targets AS t WHERE t.run_id = r.run_id AND t.kind <> 'dependent'))
WHERE r.run_id = $1 AND r.status = 'running')";

} // namespace

CoordinatorRecord::CoordinatorRecord(pg::Extension extension, const TaskRequest& request, std::int64_t run_id)
    : extension_(std::move(extension)), run_id_(run_id), requested_by_(request.requested_by),
      is_restore_(request.restored_run != 0)
{
}

pg::Rows CoordinatorRecord::run(pg::Spi& spi, const char* sql, const Parameters& parameters) const
{
    return spi.run(pg::in_extension_schema(sql, extension_), parameters);
}

bool CoordinatorRecord::adopt(pg::Spi& spi, std::int32_t worker_pid) const
{
    return run(spi, adopt_sql, Parameters().int8(run_id_).int4(worker_pid)).processed() == 1;
}

void CoordinatorRecord::audit(pg::Spi& spi, const Policy& policy, std::optional<std::int64_t> rows,
                              const std::string& status, const std::string& message) const
{
    write_audit(spi, extension_,
                {.event = is_restore_ ? "restore" : "run",
                 .policy = policy.name,
                 .policy_id = policy.id,
                 .run_id = run_id_,
                 .target = policy.target_name,
                 .rows = rows,
                 .details = pg::JsonObject().text("status", status).text("message", message).str(),
                 .actor = requested_by_});
}

void CoordinatorRecord::refuse(pg::Spi& spi, const Policy& policy, const std::string& status,
                               const std::string& message) const
{
    run(spi, refusal_sql,
        Parameters()
            .int8(run_id_)
            .text(policy.name)
            .text(policy.target_name)
            .text(is_restore_ ? "restore" : policy.action)
            .text(status)
            .text(message)
            .int8(policy.id)
            .text(is_restore_ ? "restore" : "target"));
    audit(spi, policy, 0, status, message);
}

bool CoordinatorRecord::close(pg::Spi& spi, const Policy& policy, const std::string& status,
                              const std::string& message) const
{
    const pg::Rows closed =
        run(spi, close_sql, Parameters().int8(run_id_).text(policy.name).text(status).text(message));
    if (closed.processed() > 0)
        audit(spi, policy, std::nullopt, status, message);
    return !run(spi, has_target_sql, Parameters().int8(run_id_).text(policy.name)).empty();
}

std::vector<std::vector<pg::Cell>> CoordinatorRecord::results(pg::Spi& spi, const Policy& policy) const
{
    std::vector<std::vector<pg::Cell>> results;
    for (std::vector<pg::Cell> row :
         run(spi, is_restore_ ? restore_result_sql : result_sql, Parameters().int8(run_id_).text(policy.name))) {
        row.at(2) = std::to_string(policy.target); // by its OID: a name may be another table's by now
        results.push_back(std::move(row));
    }
    return results;
}

void CoordinatorRecord::finish(pg::Spi& spi, const std::optional<std::string>& status,
                               const std::optional<std::string>& message) const
{
    run(spi, finish_sql, Parameters().int8(run_id_).text(status).text(message));
}

} // namespace pgcleanup
