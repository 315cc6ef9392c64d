#include "extension/pause.h"

#include "extension/audit.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

std::string reason_argument(FunctionCallInfo fcinfo)
{
    const std::optional<std::string> reason = pg::text_argument(fcinfo, 0);
    if (!reason || reason->find_first_not_of(" \t\r\n") == std::string::npos)
        pg::raise({.sqlstate = reason ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_NULL_VALUE_NOT_ALLOWED,
                   .message = "a reason is required",
                   .hint = "Say why, for those who read the audit."});
    return *reason;
}

[[noreturn]] void raise_already_paused(const std::optional<PauseState>& pause)
{
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = "cleaning is already paused in this database",
               .detail = pause ? pause_text(*pause) : std::string(),
               .hint = "To go on, use cleanup_resume(reason)."});
}

void pause(const std::string& reason)
{
    pg::Spi spi;
    const pg::Extension extension = pg::extension();
    const std::string actor = pg::role_name(GetUserId());
    bool inserted = false;
    {
        const pg::AsExtensionOwner as_owner(extension);
        // The index cleanup_pauses_open allows one open pause; of two that come at a time, the later one waits and
        // loses.
        inserted = spi.run(pg::in_extension_schema("INSERT INTO @extschema@.cleanup_pauses (paused_by, reason) "
                                                   "VALUES ($1, $2) ON CONFLICT DO NOTHING",
                                                   extension),
                           pg::Parameters().name(actor).text(reason))
                       .processed() == 1;
    }
    if (!inserted)
        raise_already_paused(current_pause(spi, extension));
    AuditRecord record;
    record.event = "pause";
    record.details = pg::JsonObject().text("reason", reason).str();
    write_audit(spi, extension, record);
}

void resume(const std::string& reason)
{
    pg::Spi spi;
    const pg::Extension extension = pg::extension();
    const std::string actor = pg::role_name(GetUserId());
    pg::Rows resumed;
    {
        const pg::AsExtensionOwner as_owner(extension);
        resumed = spi.run(
            pg::in_extension_schema("UPDATE @extschema@.cleanup_pauses SET resumed_at = pg_catalog.clock_timestamp(), "
                                    "resumed_by = $1, resume_reason = $2 WHERE resumed_at IS NULL "
                                    "RETURNING paused_at, paused_by, reason",
                                    extension),
            pg::Parameters().name(actor).text(reason));
    }
    if (resumed.empty())
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = "cleaning is not paused in this database"});
    AuditRecord record;
    record.event = "resume";
    record.details = pg::JsonObject()
                         .text("reason", reason)
                         .text("paused_at", resumed[0][0])
                         .text("paused_by", resumed[0][1])
                         .text("pause_reason", resumed[0][2])
                         .str();
    write_audit(spi, extension, record);
}

} // namespace

std::optional<PauseState> current_pause(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(
        pg::in_extension_schema(
            "SELECT paused_at, paused_by, reason FROM @extschema@.cleanup_pauses WHERE resumed_at IS NULL", extension),
        {}, pg::Access::read_only);
    if (rows.empty())
        return std::nullopt;
    return PauseState{pg::to_text(rows[0][0]), pg::to_text(rows[0][1]), pg::to_text(rows[0][2])};
}

std::string pause_text(const PauseState& pause)
{
    return pg::concat("Paused by ", pause.by, " since ", pause.since, ": ", pause.reason);
}

} // namespace pgcleanup

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_pause);
Datum cleanup_pause(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::pause(pgcleanup::reason_argument(fcinfo));
        PG_RETURN_VOID();
    });
}

PG_FUNCTION_INFO_V1(cleanup_resume);
Datum cleanup_resume(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::resume(pgcleanup::reason_argument(fcinfo));
        PG_RETURN_VOID();
    });
}
}
