#include "extension/cron_jobs.h"

#include "extension/calls.h"
#include "extension/owner_session.h"
#include "extension/worker_launch.h"
#include "pg/settings_scope.h"
#include "pg/text.h"
#include "pg/transaction.h"

extern "C" {
#include "commands/dbcommands.h"
}

namespace pgcleanup {

using pg::concat;
using pg::Parameters;
using pg::pg_call;
using pg::quote_literal;

namespace {

// Where pg_cron keeps its jobs; nothing when it is not preloaded.
std::optional<std::string> cron_database()
{
    const char* name = pg_call([] { return GetConfigOption("cron.database_name", true, false); });
    return name == nullptr ? std::nullopt : std::optional<std::string>(name);
}

bool is_here(const std::string& database)
{
    return database == database_name();
}

bool has_cron_extension()
{
    return OidIsValid(pg_call([] { return get_extension_oid("pg_cron", true); }));
}

// What keeps pg_cron from having jobs at all.
std::optional<Obstacle> missing_cron()
{
    const std::optional<std::string> database = cron_database();
    if (!database)
        return Obstacle{"pg_cron is not among shared_preload_libraries",
                        concat("Install pg_cron (Debian: postgresql-", PG_VERSION_NUM / 10000, "-cron). ",
                               preload_statement("pg_cron"),
                               "\nIn the database that cron.database_name names, by default postgres: CREATE EXTENSION "
                               "pg_cron;\nOr use at => or every => instead.")};
    if (is_here(*database) && !has_cron_extension())
        return Obstacle{"the extension pg_cron is not installed in this database, where cron.database_name wants it",
                        "CREATE EXTENSION pg_cron;"};
    return std::nullopt;
}

std::string command_of(const pg::Extension& extension, const Schedule& schedule)
{
    return concat("SELECT ", extension.schema_name, ".cleanup_run_scheduled(", schedule.id, ")");
}

// What makes the schedule anew, whole: without its window a run would work at any hour.
std::string statement_of(const pg::Extension& extension, const Schedule& schedule)
{
    return concat("SELECT ", qualified(extension, "cleanup_schedule"), "(", quote_literal(schedule.policy),
                  ", cron => ", quote_literal(schedule.cron),
                  schedule.run_window ? concat(", run_window => ", quote_literal(*schedule.run_window)) : "", ");");
}

template <std::size_t size>
void put(char (&field)[size], const std::string& text, const char* what) // NOLINT(*-avoid-c-arrays): as in TaskRequest
{
    if (text.size() >= size)
        pg::raise(
            {.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE, .message = concat(what, " is too long"), .detail = text});
    strlcpy(field, text.c_str(), size);
}

CronJob job_of(const Schedule& schedule)
{
    CronJob job;
    put(job.name, schedule.job_name, "the name of the job");
    pg_call([&] {
        namestrcpy(&job.username, schedule.created_by.c_str());
        namestrcpy(&job.database, get_database_name(MyDatabaseId));
    });
    return job;
}

// As whoever is in force; the schema of pg_cron is always `cron`.
void run_cron(const char* sql, const Parameters& parameters)
{
    const pg::SettingsScope settings;
    settings.set("search_path", "pg_catalog, pg_temp");
    pg::Spi spi;
    spi.run(sql, parameters);
}

constexpr const char* make_here_sql = "SELECT cron.schedule($1, $2, $3)";
constexpr const char* make_elsewhere_sql = "SELECT cron.schedule_in_database($1, $2, $3, $4)";
constexpr const char* remove_sql = "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = $1 AND username = $2";

std::string statement_elsewhere(const CronJob& job, const std::string& user)
{
    return concat("SELECT cron.schedule_in_database(", quote_literal(job.name), ", ", quote_literal(job.schedule), ", ",
                  quote_literal(job.command), ", ", quote_literal(NameStr(job.database)), ", ", quote_literal(user),
                  ");");
}

void work_elsewhere(const std::string& database, const CronJob& job, Oid role)
{
    TaskRequest request;
    request.kind = TaskKind::cron_job;
    request.database = pg_call([&] { return get_database_oid(database.c_str(), false); });
    request.owner = role;
    request.connection = static_cast<std::int32_t>(Connection::as_owner);
    request.cron_job = job;
    run_task_in_worker(request, [](const std::vector<pg::Cell>&) {});
}

[[noreturn]] void raise_not_made(const pg::PgError& error, const std::string& hint)
{
    pg::raise({.sqlstate = error.sqlstate(),
               .message = concat("the job in pg_cron could not be made: ", error.fields().message),
               .detail = error.fields().detail,
               .hint = hint});
}

void make_elsewhere(const std::string& database, const CronJob& job)
{
    const std::string user = pg::role_name(GetUserId());
    try {
        work_elsewhere(database, job, GetUserId());
    } catch (const pg::PgError& error) {
        if (error.is_cancel())
            throw;
        raise_not_made(error,
                       concat("It was tried as role ", user, " in database ", database,
                              ", where it takes CREATE EXTENSION pg_cron, and for who is no superuser: "
                              "GRANT USAGE ON SCHEMA cron TO ",
                              pg::quote_identifier(user), "; GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO ",
                              pg::quote_identifier(user), "; What it said was: ", statement_elsewhere(job, user)));
    }
}

} // namespace

void check_cron_is_there()
{
    if (const std::optional<Obstacle> obstacle = missing_cron())
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = "a schedule with cron => needs the extension pg_cron",
                   .detail = concat(obstacle->what, "."),
                   .hint = obstacle->remedy});
}

void make_cron_job(const pg::Extension& extension, const Schedule& schedule)
{
    CronJob job = job_of(schedule);
    put(job.schedule, schedule.cron, "the schedule");
    put(job.command, command_of(extension, schedule), "the command");
    const std::string database = *cron_database();
    if (!is_here(database)) {
        make_elsewhere(database, job);
        return;
    }
    try {
        run_cron(make_here_sql, Parameters().text(job.name).text(job.schedule).text(job.command));
    } catch (const pg::PgError& error) {
        if (error.is_cancel())
            throw;
        const std::string user = pg::quote_identifier(pg::role_name(GetUserId()));
        raise_not_made(error, error.sqlstate() == ERRCODE_INSUFFICIENT_PRIVILEGE
                                  ? concat("GRANT USAGE ON SCHEMA cron TO ", user, ";")
                                  : error.fields().hint);
    }
}

void remove_cron_job(const pg::Extension& extension, const Schedule& schedule)
{
    const std::optional<std::string> database = cron_database();
    if (!database || (is_here(*database) && !has_cron_extension()))
        return;
    const CronJob job = job_of(schedule);
    if (!is_here(*database)) {
        work_elsewhere(*database, job, BOOTSTRAP_SUPERUSERID);
        return;
    }
    const pg::AsExtensionOwner as_owner(extension);
    run_cron(remove_sql, Parameters().text(job.name).text(NameStr(job.username)));
}

std::optional<Obstacle> cron_obstacle(const Schedule& schedule)
{
    if (std::optional<Obstacle> missing = missing_cron())
        return missing;
    if (!is_here(*cron_database()))
        return std::nullopt;
    const pg::AsExtensionOwner as_owner(pg::extension());
    pg::Spi spi;
    const pg::Rows jobs = spi.run("SELECT active FROM cron.job WHERE jobname = $1 AND username = $2",
                                  Parameters().text(schedule.job_name).text(schedule.created_by));
    const std::string job = concat("the job \"", schedule.job_name, "\" of role ", schedule.created_by);
    if (jobs.empty())
        return Obstacle{concat(job, " is not in pg_cron any more"), statement_of(pg::extension(), schedule)};
    if (!pg::to_bool(jobs[0][0]))
        return Obstacle{concat(job, " is not active"),
                        concat("SELECT cron.alter_job(jobid, active => true) FROM cron.job WHERE jobname = ",
                               quote_literal(schedule.job_name), ";")};
    return std::nullopt;
}

void change_cron_job(const CronJob& job)
{
    pg::set_for_worker("default_transaction_read_only", "off");
    pg::WorkerTransaction transaction;
    if (job.command[0] != '\0')
        run_cron(make_elsewhere_sql,
                 Parameters().text(job.name).text(job.schedule).text(job.command).text(NameStr(job.database)));
    else if (has_cron_extension())
        run_cron(remove_sql, Parameters().text(job.name).text(NameStr(job.username)));
    transaction.commit();
}

} // namespace pgcleanup
