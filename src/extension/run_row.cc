#include "extension/run_row.h"

#include "pg/json.h"
#include "pg/settings_scope.h"
#include "pg/spi.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

constexpr const char* insert_sql = R"(
INSERT INTO @extschema@.cleanup_runs (trigger, forced, requested_by, request, started_at, status, worker_pid)
VALUES ($1, $2, $3, $4::jsonb, $5, 'running', $6) RETURNING run_id)";

void add_time(pg::JsonObject& json, const char* name, const std::optional<TimestampTz>& time)
{
    if (time)
        json.text(name, pg::output_text(TimestampTzGetDatum(*time), TIMESTAMPTZOID));
}

// What was asked for, as cleanup_runs.request says it: whoever reads the history later must see how far a run could go.
std::string request_json(const TaskRequest& request)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    settings.set("TimeZone", "UTC");
    pg::JsonObject json;
    if (request.policy_id != 0)
        json.number("policy_id", request.policy_id);
    if (request.restored_run != 0)
        json.number("restored_run", request.restored_run);
    if (request.has_condition)
        json.text("condition", std::string_view(request.condition));
    if (request.has_retain)
        json.text("retain", std::string_view(request.retain));
    add_time(json, "age_from", request.age_from.get());
    add_time(json, "age_to", request.age_to.get());
    add_time(json, "as_of", request.as_of.get());
    if (request.max_rows.is_set)
        json.number("max_rows", request.max_rows.value);
    if (request.max_microseconds.is_set)
        json.number("max_microseconds", request.max_microseconds.value);
    return json.boolean("wait", request.wait).str();
}

} // namespace

std::int64_t insert_run(pg::Spi& spi, const pg::Extension& extension, const TaskRequest& request,
                        std::optional<std::int32_t> worker_pid)
{
    return pg::to_int64(
        spi.run(pg::in_extension_schema(insert_sql, extension), pg::Parameters()
                                                                    .text(trigger_name(request.trigger))
                                                                    .boolean(request.force)
                                                                    .name(pg::role_name(request.requested_by))
                                                                    .text(request_json(request))
                                                                    .timestamp(request.start)
                                                                    .int4(worker_pid))[0][0]);
}

} // namespace pgcleanup
