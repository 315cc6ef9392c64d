#include "extension/owner_session.h"

#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

// The search_path that a login of the role gets (postinit.c, process_settings: role in database, role, database, all).
constexpr const char* login_path_sql = R"(
SELECT substr(setting, length('search_path=') + 1)
FROM pg_db_role_setting, unnest(setconfig) AS setting
WHERE setdatabase IN (0, $1) AND setrole IN (0, $2) AND setting LIKE 'search_path=%'
ORDER BY setrole = 0, setdatabase = 0 LIMIT 1)";

std::string login_search_path(Oid role)
{
    pg::WorkerTransaction transaction;
    const std::string default_path = pg::current_setting("search_path");
    pg::Rows rows;
    {
        const pg::SettingsScope settings;
        settings.set("search_path", "pg_catalog, pg_temp");
        pg::Spi spi;
        rows = spi.run(login_path_sql, pg::Parameters().oid(MyDatabaseId).oid(role), pg::Access::read_only);
    }
    transaction.commit();
    return rows.empty() ? default_path : pg::to_text(rows[0][0]);
}

// A role's own settings (ALTER ROLE ... SET role = other) must not decide who the session is.
void reset_role_setting(Oid owner)
{
    if (GetUserId() == owner)
        return;
    pg::WorkerTransaction transaction;
    pg::set_for_worker("role", "none");
    transaction.commit();
}

void pin_worker_settings()
{
    // As autovacuum does (autovacuum.c): neither a role's nor a database's defaults may change what a batch is.
    pg::set_for_worker("default_transaction_isolation", "read committed");
    pg::set_for_worker("default_transaction_read_only", "off");
    pg::set_for_worker("default_transaction_deferrable", "off");
    pg::set_for_worker("statement_timeout", "0");
    pg::set_for_worker("idle_in_transaction_session_timeout", "0");
    pg::set_for_worker("synchronous_commit", "off");
    // The probes of references look far more expensive than they are: each batch would be compiled anew.
    pg::set_for_worker("jit", "off");
    pg::set_for_worker("application_name", "pg_cleanup");
    // Not only pinned in each transaction: owner code's RESET ALL goes back to these, e.g. not to a role's own
    // session_replication_role, under which foreign keys would not be enforced.
    pg::set_for_worker("row_security", "off");
    for (const pg::Setting& setting : pg::language_settings())
        pg::set_for_worker(setting.name, setting.value);
}

void assert_identity(Oid user, int security_context)
{
    const pg::Identity identity = pg::current_identity();
    if (identity.user != user || GetSessionUserId() != user || identity.security_context != security_context)
        pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
                   .message = "pg_cleanup: the worker is not who it must be, and stops",
                   .detail = concat("Expected role ", pg::role_name(user), ", found current user ",
                                    pg::role_name(identity.user), ", session user ", pg::role_name(GetSessionUserId()),
                                    ".")});
}

} // namespace

OwnerSession open_owner_session(Oid owner, Connection connection, std::string time_zone)
{
    pin_worker_settings();
    OwnerSession session;
    session.owner = owner;
    session.connection = connection;
    session.time_zone = std::move(time_zone);
    if (connection == Connection::as_owner) {
        reset_role_setting(owner);
        session.search_path = pg::current_setting("search_path");
    } else {
        session.search_path = login_search_path(owner);
    }
    return session;
}

OwnerTransaction::OwnerTransaction(const OwnerSession& session, std::chrono::milliseconds lock_timeout,
                                   pg::Access access)
{
    const bool as_owner = session.connection == Connection::as_owner;
    assert_identity(as_owner ? session.owner : static_cast<Oid>(BOOTSTRAP_SUPERUSERID), 0);
    XactIsoLevel = XACT_READ_COMMITTED;
    XactReadOnly = access == pg::Access::read_only || RecoveryInProgress();
    if (!as_owner)
        switched_.emplace(session.owner);
    settings_.emplace();
    settings_->set(pg::language_settings());
    settings_->set("search_path", session.search_path);
    settings_->set("TimeZone", session.time_zone);
    // A row that FORCE row security hides from its owner must be an error, never a silent zero.
    settings_->set("row_security", "off");
    settings_->set("track_counts", "on");
    settings_->set("lock_timeout", std::to_string(lock_timeout.count()));
    if (!XactReadOnly)
        set_constraints_immediate();
}

OwnerTransaction::~OwnerTransaction() = default;

void OwnerTransaction::set_constraints_immediate()
{
    // A restricted session may queue no deferred trigger, and counters must be read after all triggers have run.
    pg::Spi spi;
    spi.run("SET CONSTRAINTS ALL IMMEDIATE");
}

void OwnerTransaction::commit()
{
    settings_.reset();
    switched_.reset();
    transaction_.commit();
}

} // namespace pgcleanup
