#include "extension/restore_record.h"

#include "extension/audit.h"

namespace pgcleanup {

namespace {

constexpr const char* add_sql = R"(
INSERT INTO @extschema@.cleanup_run_targets AS t
  (run_id, policy, table_name, kind, action, status, rows, changed_rows, skipped_rows, batches, policy_id)
VALUES ($1, $2, $3, 'restore', 'restore', 'running', $4, $5, $6, 1, $7)
ON CONFLICT (run_id, policy, table_name, kind) DO UPDATE
SET rows = t.rows + excluded.rows, changed_rows = t.changed_rows + excluded.changed_rows,
    skipped_rows = t.skipped_rows + excluded.skipped_rows, batches = t.batches + 1, updated_at = clock_timestamp())";

constexpr const char* finish_sql = R"(
UPDATE @extschema@.cleanup_run_targets SET status = $3, message = $4, finished_at = clock_timestamp()
WHERE run_id = $1 AND policy = $2 AND kind = 'restore')";

} // namespace

void RestoreRecord::add(const std::string& table, const RestoredRows& done)
{
    const pg::AsExtensionOwner owner(extension_);
    pg::Spi spi;
    spi.run(pg::in_extension_schema(add_sql, extension_), pg::Parameters()
                                                              .int8(run_id_)
                                                              .text(policy_.name)
                                                              .text(table)
                                                              .int8(done.rows)
                                                              .int8(done.reset_references)
                                                              .int8(done.conflicts)
                                                              .int8(policy_.id));
}

void RestoreRecord::finish(const std::string& status, const std::string& message, std::int64_t rows,
                           std::span<const SkippedRows> conflicts, pg::JsonObject details)
{
    const pg::AsExtensionOwner owner(extension_);
    pg::Spi spi;
    spi.run(pg::in_extension_schema(finish_sql, extension_),
            pg::Parameters()
                .int8(run_id_)
                .text(policy_.name)
                .text(status)
                .text(message.empty() ? std::optional<std::string>() : message));
    details.text("status", status).text("message", message).json("conflicts", skipped_json(conflicts));
    write_audit(spi, extension_,
                {.event = "restore",
                 .policy = policy_.name,
                 .policy_id = policy_.id,
                 .run_id = run_id_,
                 .target = policy_.target_name,
                 .rows = rows,
                 .details = details.str(),
                 .actor = requested_by_});
}

} // namespace pgcleanup
