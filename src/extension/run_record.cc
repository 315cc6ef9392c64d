#include "extension/run_record.h"

#include "extension/audit.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::AsExtensionOwner;
using pg::concat;
using pg::Parameters;
using pg::Spi;

namespace {

constexpr const char* insert_target_sql = R"(
INSERT INTO @extschema@.cleanup_run_targets
  (run_id, policy, table_name, kind, action, status, policy_id)
VALUES ($1, $2, $3, '@kind@', $4, 'running', $5)
RETURNING ctid)";

constexpr const char* set_cutoff_sql = R"(
UPDATE @extschema@.cleanup_run_targets SET cutoff = $4 WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@'
RETURNING ctid)";

constexpr const char* set_plan_sql = R"(
UPDATE @extschema@.cleanup_run_targets
SET strategy = $4, total_units = $5, unit = $6, done_units = 0, updated_at = clock_timestamp()
WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@' RETURNING ctid)";

constexpr const char* add_batch_sql = R"(
UPDATE @extschema@.cleanup_run_targets
SET rows = rows + $4, dependent_rows = dependent_rows + $5, batches = batches + 1, redone_batches = redone_batches + $6,
    done_units = done_units + $7, row_bytes = row_bytes + round($4 * $8), updated_at = clock_timestamp(), waiting_for = NULL
WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@' RETURNING ctid)";

constexpr const char* add_partitions_sql = R"(
UPDATE @extschema@.cleanup_run_targets
SET rows = rows + $4, row_bytes = row_bytes + $5, done_units = done_units + $6, batches = batches + 1,
    updated_at = clock_timestamp(), waiting_for = NULL
WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@' RETURNING ctid)";

constexpr const char* audit_partitions_sql = R"(
INSERT INTO @extschema@.cleanup_audit (actor, event, policy, policy_id, run_id, target, rows, details, wal_lsn)
SELECT $1, $2, $3, $4, $5, $6, (p ->> 'rows')::int8, p - 'rows', pg_current_wal_insert_lsn()
FROM jsonb_array_elements($7::jsonb) AS p)";

constexpr const char* set_waiting_sql = R"(
UPDATE @extschema@.cleanup_run_targets SET waiting_for = $4, updated_at = clock_timestamp()
WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@' RETURNING ctid)";

// For when the row is not where it was: VACUUM FULL moves it.
constexpr const char* find_row_sql = R"(
SELECT ctid FROM @extschema@.cleanup_run_targets WHERE run_id = $1 AND policy = $2 AND kind = '@kind@' AND table_name = $3)";

constexpr const char* add_dependent_sql = R"(
INSERT INTO @extschema@.cleanup_run_targets AS t
  (run_id, policy, table_name, kind, action, status, rows, changed_rows, batches, policy_id)
VALUES ($1, $2, $3, 'dependent', $4, 'running', $5, $6, 1, $7)
ON CONFLICT (run_id, policy, table_name, kind) DO UPDATE
SET rows = t.rows + excluded.rows, changed_rows = t.changed_rows + excluded.changed_rows, batches = t.batches + 1,
    updated_at = clock_timestamp())";

std::string control_sql()
{
    return concat("SELECT p.enabled, ", policy_revision_expression,
                  ", (SELECT s.reason FROM @extschema@.cleanup_pauses AS s WHERE s.resumed_at IS NULL LIMIT 1) "
                  "FROM (SELECT) AS one LEFT JOIN @extschema@.cleanup_policies AS p ON p.policy_id = $1");
}

constexpr const char* finish_sql = R"(
UPDATE @extschema@.cleanup_run_targets
SET status = $4, message = $5, skipped_rows = skipped_rows + $6, finished_at = clock_timestamp(),
    updated_at = clock_timestamp(), waiting_for = NULL
WHERE ctid = $1 AND run_id = $2 AND policy = $3 AND kind = '@kind@' RETURNING ctid, rows, dependent_rows, row_bytes, batches, cutoff)";

constexpr const char* finish_dependents_sql = R"(
UPDATE @extschema@.cleanup_run_targets SET status = $3, finished_at = clock_timestamp()
WHERE run_id = $1 AND policy = $2 AND kind = 'dependent')";

std::int64_t dependent_total(std::span<const DependentChange> dependents)
{
    std::int64_t total = 0;
    for (const DependentChange& change : dependents)
        total += change.deleted + change.changed;
    return total;
}

ItemPointerData row_id_of(const pg::Cell& cell)
{
    const std::string text = pg::to_text(cell);
    const Datum value = pg::input_value(text, TIDOID);
    return *reinterpret_cast<ItemPointer>(DatumGetPointer(value));
}

} // namespace

std::string failure_text(const pg::PgError& error)
{
    const pg::ErrorFields& fields = error.fields();
    const bool shows_detail = !error.from_postgres() && !fields.detail.empty();
    return concat(fields.message, shows_detail ? concat(". ", fields.detail) : "",
                  fields.hint.empty() ? "" : concat(" Hint: ", fields.hint));
}

std::string skipped_json(std::span<const SkippedRows> skipped)
{
    std::string json = "[";
    for (const SkippedRows& group : skipped) {
        std::string samples;
        for (const std::string& sample : group.samples)
            samples.append(samples.empty() ? "" : ", ").append(sample);
        json.append(json.size() > 1 ? ", " : "")
            .append(concat("{\"reason\": ", pg::json_string(group.reason), ", \"rows\": ", group.rows,
                           ", \"samples\": [", samples, "]}"));
    }
    return json.append("]");
}

RunRecord::RunRecord(pg::Extension extension, std::int64_t run_id, Oid requested_by, Policy policy, RecordKind kind)
    : extension_(std::move(extension)), run_id_(run_id), requested_by_(requested_by), policy_(std::move(policy)),
      kind_(kind)
{
    ItemPointerSetInvalid(&row_);
    ItemPointerSetInvalid(&pending_);
}

std::string RunRecord::of_our_kind(std::string_view sql) const
{
    constexpr std::string_view token = "@kind@";
    std::string text(sql);
    const std::size_t at = text.find(token);
    if (at != std::string::npos)
        text.replace(at, token.size(), kind_ == RecordKind::archive ? "archive" : "target");
    return pg::in_extension_schema(text, extension_);
}

const pg::Plan& RunRecord::plan(std::optional<pg::Plan>& slot, std::string_view sql, const Parameters& parameters)
{
    if (!slot)
        slot.emplace(of_our_kind(sql), parameters.types());
    return *slot;
}

void RunRecord::begin()
{
    const AsExtensionOwner owner(extension_);
    Spi spi;
    const pg::Rows rows = spi.run(
        of_our_kind(insert_target_sql),
        Parameters().int8(run_id_).text(policy_.name).text(policy_.target_name).text(policy_.action).int8(policy_.id));
    pending_ = row_id_of(rows[0][0]);
}

pg::Rows RunRecord::change_row(std::optional<pg::Plan>& slot, const char* sql, const Parameters& values)
{
    Spi spi;
    ItemPointerData row = pending_;
    Parameters parameters;
    parameters.value(TIDOID, PointerGetDatum(&row)).int8(run_id_).text(policy_.name).append(values);
    const pg::Plan& change = plan(slot, sql, parameters);
    pg::Rows rows = spi.run(change, parameters);
    if (rows.empty()) {
        const pg::Rows found =
            spi.run(of_our_kind(find_row_sql), Parameters().int8(run_id_).text(policy_.name).text(policy_.target_name));
        if (!found.empty()) {
            row = row_id_of(found[0][0]);
            rows = spi.run(change, parameters);
        }
    }
    if (rows.empty())
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("pg_cleanup run ", run_id_, ": the record of policy \"", policy_.name,
                                     "\" was removed by someone else"),
                   .hint = "Leave cleanup_run_targets to pg_cleanup."});
    pending_ = row_id_of(rows[0][0]);
    return rows;
}

void RunRecord::set_cutoff(std::optional<TimestampTz> cutoff)
{
    const AsExtensionOwner owner(extension_);
    std::optional<pg::Plan> once;
    change_row(once, set_cutoff_sql, Parameters().timestamp(cutoff));
}

void RunRecord::set_plan(const std::string& strategy, std::int64_t total_units, const std::string& unit)
{
    const AsExtensionOwner owner(extension_);
    std::optional<pg::Plan> once;
    change_row(once, set_plan_sql, Parameters().text(strategy).int8(total_units).text(unit));
}

void RunRecord::add_batch(const BatchCounters& counters, double row_width)
{
    const AsExtensionOwner owner(extension_);
    change_row(batch_plan_, add_batch_sql,
               Parameters()
                   .int8(counters.rows)
                   .int8(dependent_total(counters.dependents))
                   .int8(counters.redone ? 1 : 0)
                   .int8(counters.done_units)
                   .float8(row_width));
    Spi spi;
    for (const DependentChange& change : counters.dependents)
        add_dependent(spi, change);
}

void RunRecord::add_dependent(Spi& spi, const DependentChange& change)
{
    spi.run(pg::in_extension_schema(add_dependent_sql, extension_), Parameters()
                                                                        .int8(run_id_)
                                                                        .text(policy_.name)
                                                                        .text(pg::relation_name(change.table))
                                                                        .text(policy_.action)
                                                                        .int8(change.deleted)
                                                                        .int8(change.changed)
                                                                        .int8(policy_.id));
}

void RunRecord::add_partitions(std::span<const RemovedPartition> partitions, bool dropped)
{
    RemovedPartition sum;
    std::string list = "[";
    for (const RemovedPartition& partition : partitions) {
        sum.rows += partition.rows;
        sum.bytes += partition.bytes;
        sum.done_units += partition.done_units;
        list += concat(list.size() > 1 ? ", " : "", pg::JsonObject()
                                                        .text("partition", partition.name)
                                                        .number("rows", partition.rows)
                                                        .number("row_bytes", partition.bytes)
                                                        .str());
    }
    const AsExtensionOwner owner(extension_);
    change_row(partition_plan_, add_partitions_sql, Parameters().int8(sum.rows).int8(sum.bytes).int8(sum.done_units));
    Spi spi;
    const Parameters audit = Parameters()
                                 .name(pg::role_name(requested_by_))
                                 .text(dropped ? "partition_dropped" : "partition_detached")
                                 .text(policy_.name)
                                 .int8(policy_.id)
                                 .int8(run_id_)
                                 .text(policy_.target_name)
                                 .text(list + "]");
    spi.run(plan(partition_audit_plan_, audit_partitions_sql, audit), audit);
}

void RunRecord::set_waiting(const std::optional<std::string>& reason)
{
    const AsExtensionOwner owner(extension_);
    std::optional<pg::Plan> once;
    change_row(once, set_waiting_sql, Parameters().text(reason));
}

void RunRecord::check_control()
{
    const AsExtensionOwner owner(extension_);
    Spi spi;
    const Parameters parameters = Parameters().int8(policy_.id);
    const pg::Rows rows = spi.run(plan(control_plan_, control_sql(), parameters), parameters);
    if (rows[0][2])
        throw RunStopped{"cancelled", concat("pg_cleanup is paused: ", *rows[0][2])};
    if (!rows[0][0])
        throw RunStopped{"cancelled", "the policy was dropped during the run"};
    if (!pg::to_bool(rows[0][0]))
        throw RunStopped{"cancelled", "the policy was disabled during the run"};
    if (pg::to_text(rows[0][1]) != policy_.revision)
        throw RunStopped{"cancelled", "the policy was changed during the run"};
}

void RunRecord::finish(const std::string& status, const std::string& message, std::span<const SkippedRows> skipped,
                       pg::JsonObject details)
{
    const AsExtensionOwner owner(extension_);
    std::int64_t skipped_rows = 0;
    for (const SkippedRows& group : skipped)
        skipped_rows += group.rows;
    std::optional<pg::Plan> once;
    const pg::Rows rows = change_row(
        once, finish_sql,
        Parameters().text(status).text(message.empty() ? std::optional<std::string>() : message).int8(skipped_rows));
    Spi spi;
    spi.run(pg::in_extension_schema(finish_dependents_sql, extension_),
            Parameters().int8(run_id_).text(policy_.name).text(status));
    details.text("status", status)
        .text("message", message)
        .json("dependent_rows", pg::to_text(rows[0][2]))
        .json("row_bytes", pg::to_text(rows[0][3]))
        .json("batches", pg::to_text(rows[0][4]))
        .text("cutoff", rows[0][5])
        .json("skipped", skipped_json(skipped));
    write_audit(spi, extension_,
                {.event = kind_ == RecordKind::archive ? "archive_retention" : "run",
                 .policy = policy_.name,
                 .policy_id = policy_.id,
                 .run_id = run_id_,
                 .target = policy_.target_name,
                 .rows = pg::to_int64(rows[0][1]),
                 .details = details.str(),
                 .actor = requested_by_});
}

} // namespace pgcleanup
