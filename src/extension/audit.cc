#include "extension/audit.h"

namespace pgcleanup {

void write_audit(pg::Spi& spi, const pg::Extension& extension, const AuditRecord& record)
{
    const Oid actor = OidIsValid(record.actor) ? record.actor : pg::current_identity().user;
    const std::string actor_name = pg::role_name(actor);
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("INSERT INTO @extschema@.cleanup_audit "
                                    "(actor, event, policy, policy_id, run_id, target, rows, details, wal_lsn) VALUES "
                                    "($1, $2, $3, $4, $5, $6, $7, $8::jsonb, pg_current_wal_insert_lsn())",
                                    extension),
            pg::Parameters()
                .name(actor_name)
                .text(record.event)
                .text(record.policy)
                .int8(record.policy_id)
                .int8(record.run_id)
                .text(record.target)
                .int8(record.rows)
                .text(record.details));
}

} // namespace pgcleanup
