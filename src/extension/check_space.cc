// What keeps the space of deleted rows from being used again.
#include "extension/check.h"
#include "extension/settings.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

// A transaction of this database keeps every row that it may still see; those of other databases do not matter here.
constexpr const char* old_transactions_sql =
    "SELECT pid, date_trunc('second', now() - xact_start)::text, state FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker' "
    "AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start <= now() - make_interval(secs => $1) "
    "ORDER BY xact_start";
constexpr const char* prepared_sql =
    "SELECT gid, date_trunc('second', now() - prepared)::text FROM pg_prepared_xacts "
    "WHERE database = current_database() AND prepared <= now() - make_interval(secs => $1) ORDER BY prepared";
// Slots and standbys hold transactions without saying since when: what nobody reads, and what is far behind.
constexpr const char* slots_sql = "SELECT slot_name, age(xmin), active FROM pg_replication_slots "
                                  "WHERE xmin IS NOT NULL AND (NOT active OR age(xmin) > 1000000) ORDER BY slot_name";
constexpr const char* standbys_sql = "SELECT coalesce(nullif(application_name, ''), pid::text), age(backend_xmin) "
                                     "FROM pg_stat_replication WHERE age(backend_xmin) > 1000000 ORDER BY 1";

// Only a standby's feedback makes a slot or a sender hold rows while it is at work.
constexpr const char* standby_hint =
    "End the standby's long queries, or there: ALTER SYSTEM SET hot_standby_feedback = off; SELECT pg_reload_conf();";

pg::Rows look_up(pg::Spi& spi, const pg::Extension& extension, const char* sql, const pg::Parameters& parameters = {})
{
    const pg::AsExtensionOwner as_owner(extension);
    return spi.run(sql, parameters, pg::Access::read_only);
}

void check_holders(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    constexpr const char* name = "space_held";
    constexpr const char* consequence = "; space of rows deleted since then cannot be used again";
    const double old = static_cast<double>(old_transaction().count());
    for (const auto& row : look_up(spi, extension, old_transactions_sql, pg::Parameters().float8(old)))
        report.add(CheckStatus::warning, name,
                   pg::concat("process ", pg::to_text(row[0]), " (", row[2].value_or("working"),
                              ") has had a transaction open for ", pg::to_text(row[1]), consequence),
                   pg::concat("SELECT pg_terminate_backend(", pg::to_text(row[0]), ");"));
    for (const auto& row : look_up(spi, extension, prepared_sql, pg::Parameters().float8(old)))
        report.add(CheckStatus::warning, name,
                   pg::concat("the prepared transaction ", pg::quote_literal(pg::to_text(row[0])), " is ",
                              pg::to_text(row[1]), " old", consequence),
                   pg::concat("ROLLBACK PREPARED ", pg::quote_literal(pg::to_text(row[0])), "; -- or COMMIT PREPARED"));
    for (const auto& row : look_up(spi, extension, slots_sql)) {
        const bool is_read = pg::to_bool(row[2]);
        report.add(CheckStatus::warning, name,
                   pg::concat("the replication slot ", pg::to_text(row[0]),
                              is_read ? " is " : " is read by nobody and is ", pg::to_text(row[1]),
                              " transactions behind", consequence),
                   is_read ? standby_hint
                           : pg::concat("SELECT pg_drop_replication_slot(", pg::quote_literal(pg::to_text(row[0])),
                                        "); -- if nobody needs it any more"));
    }
    for (const auto& row : look_up(spi, extension, standbys_sql))
        report.add(CheckStatus::warning, name,
                   pg::concat("the standby ", pg::to_text(row[0]), " needs rows of ", pg::to_text(row[1]),
                              " transactions ago", consequence),
                   standby_hint);
    report.otherwise_ok(name, "no transaction, slot or standby holds back what VACUUM may remove");
}

// Twice what autovacuum waits for, and enough to matter.
constexpr const char* dead_rows_sql =
    "SELECT c.oid::regclass::text, pg_stat_get_dead_tuples(c.oid), greatest(c.reltuples, 0)::bigint, "
    "  coalesce(to_char(greatest(pg_stat_get_last_autovacuum_time(c.oid), pg_stat_get_last_vacuum_time(c.oid)), "
    "    'YYYY-MM-DD HH24:MI'), 'never'), "
    "  coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions) "
    "    WHERE option_name = 'autovacuum_enabled'), true), current_setting('autovacuum')::boolean "
    "FROM (SELECT DISTINCT coalesce(leaf.relid::oid, target) AS oid FROM unnest($1::oid[]) target "
    "  LEFT JOIN LATERAL pg_partition_tree(target) leaf ON leaf.isleaf) t JOIN pg_class c USING (oid) "
    "WHERE pg_stat_get_dead_tuples(c.oid) > greatest(10000, 2 * "
    "(current_setting('autovacuum_vacuum_threshold')::float8 "
    "  + current_setting('autovacuum_vacuum_scale_factor')::float8 * greatest(c.reltuples, 0))) ORDER BY 1";

std::string targets_of(const std::vector<PolicyStats>& policies)
{
    std::string targets;
    for (const PolicyStats& stats : policies) {
        if (OidIsValid(stats.policy.target))
            targets += pg::concat(targets.empty() ? "" : ",", stats.policy.target);
    }
    return pg::concat("{", targets, "}");
}

void check_dead_rows(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                     CheckReport& report)
{
    for (const auto& row : look_up(spi, extension, dead_rows_sql, pg::Parameters().text(targets_of(policies)))) {
        const std::string table = pg::to_text(row[0]);
        const bool is_on_for_table = pg::to_bool(row[4]);
        const bool is_on = pg::to_bool(row[5]);
        report.add(CheckStatus::warning, "dead_rows",
                   pg::concat(table, " has ", pg::to_text(row[1]), " dead rows to ", pg::to_text(row[2]),
                              " live ones; last vacuumed: ", pg::to_text(row[3]),
                              is_on_for_table ? "" : "; autovacuum is off for it",
                              is_on ? "" : "; autovacuum is off on this server"),
                   pg::concat(is_on ? "" : "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf(); ",
                              is_on_for_table ? "" : pg::concat("ALTER TABLE ", table, " RESET (autovacuum_enabled); "),
                              "VACUUM ", table, ";"));
    }
    report.otherwise_ok("dead_rows", "vacuum keeps up with what was deleted");
}

} // namespace

void check_space(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                 CheckReport& report)
{
    check_holders(spi, extension, report);
    check_dead_rows(spi, extension, policies, report);
}

} // namespace pgcleanup
