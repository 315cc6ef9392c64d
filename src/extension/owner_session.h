// A worker's session as the owner of a target, and its transactions.
#pragma once

#include "extension/task.h"
#include "pg/identity.h"
#include "pg/transaction.h"

namespace pgcleanup {

// How the worker is the owner: connected as him, or (he cannot log in) as the bootstrap superuser switched to him for
// good.
enum class Connection : std::int32_t { as_owner, switched };

struct OwnerSession {
    Oid owner = InvalidOid;
    Connection connection = Connection::as_owner;
    std::string search_path; // what a login of the owner has
    std::string time_zone;   // the policy's
};

// The session of a worker that has just connected: pins what must hold for its whole life.
OwnerSession open_owner_session(Oid owner, Connection connection, std::string time_zone);

// One transaction as the owner. Before anything runs in it: the identity is asserted, isolation and settings are pinned
// (search_path, TimeZone, row_security off, lock_timeout, language settings). Whatever owner code sets inside is gone
// with it. Aborts unless committed.
class OwnerTransaction {
public:
    OwnerTransaction(const OwnerSession& session, std::chrono::milliseconds lock_timeout,
                     pg::Access access = pg::Access::read_write);
    ~OwnerTransaction();
    OwnerTransaction(const OwnerTransaction&) = delete;
    OwnerTransaction& operator=(const OwnerTransaction&) = delete;
    // Runs every deferred constraint trigger now; owner code may have deferred them again.
    void set_constraints_immediate();
    void commit();

private:
    pg::WorkerTransaction transaction_;
    std::optional<pg::AsOwnerRestricted> switched_;
    std::optional<pg::SettingsScope> settings_;
};

} // namespace pgcleanup
