// The audit: who did what, when, to how many rows.
#pragma once

#include "pg/identity.h"
#include "pg/json.h"
#include "pg/spi.h"

namespace pgcleanup {

struct AuditRecord {
    std::string event;
    std::optional<std::string> policy = {};
    std::optional<std::int64_t> policy_id = {}; // of the policy that is named
    std::optional<std::int64_t> run_id = {};
    std::optional<std::string> target = {};
    std::optional<std::int64_t> rows = {};
    std::string details = "{}"; // JSON text
    Oid actor = InvalidOid;     // who asked; InvalidOid: the role in force when write_audit is called
};

// Appends one row, in the current transaction; switches to the extension's owner by itself, so callers that already did
// name the actor.
void write_audit(pg::Spi& spi, const pg::Extension& extension, const AuditRecord& record);

} // namespace pgcleanup
