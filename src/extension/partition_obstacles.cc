#include "extension/partition_obstacles.h"

#include "pg/latest_snapshot.h"

extern "C" {
#include "catalog/pg_type_d.h"
}

namespace pgcleanup {

using pg::concat;

namespace {

// $1: relations that would go, $2: those above them, $3: the target's owner, $4: our policy, $5: whether they are
// dropped. The third column tells whether it concerns everything below as well.
constexpr const char* obstacles_sql = R"(
WITH member AS MATERIALIZED (SELECT unnest AS relid FROM unnest($1)),
  concerned AS MATERIALIZED (SELECT relid FROM member UNION SELECT unnest FROM unnest($2))
SELECT t.tgrelid, 'it has a DELETE trigger, ' || quote_ident(t.tgname), true
FROM pg_trigger t JOIN concerned ON relid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgtype & 8 <> 0 AND t.tgenabled <> 'D'
UNION ALL
SELECT c.confrelid, 'a foreign key references it, ' || quote_ident(c.conname) || ' of ' || c.conrelid::regclass, true
FROM pg_constraint c JOIN concerned ON relid = c.confrelid WHERE c.contype = 'f'
UNION ALL
SELECT r.ev_class, 'it has a rule, ' || quote_ident(r.rulename), true
FROM pg_rewrite r JOIN concerned ON relid = r.ev_class
UNION ALL
SELECT c.oid, 'publication ' || quote_ident(p.pubname) || ' publishes its deletes', true
FROM concerned JOIN pg_class c ON c.oid = relid JOIN pg_publication p ON p.pubdelete
WHERE p.puballtables OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)
  OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid = c.relnamespace)
UNION ALL
SELECT i.inhparent, 'a partition of it is being detached', false
FROM pg_inherits i JOIN member ON relid = i.inhparent WHERE i.inhdetachpending
UNION ALL
SELECT c.oid, 'it belongs to another role', false
FROM concerned JOIN pg_class c ON c.oid = relid WHERE c.relowner <> $3 AND c.oid = ANY ($1)
UNION ALL
SELECT c.oid, 'it is no table of this database', false
FROM member JOIN pg_class c ON c.oid = relid WHERE c.relkind NOT IN ('r', 'p')
UNION ALL
SELECT d.refobjid, r.ev_class::regclass || ' depends on it', false
FROM member JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = relid
  JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE $5 AND r.ev_class <> ALL ($1)
UNION ALL
SELECT d.refobjid, 'sequence ' || s.oid::regclass || ' would be dropped with it', false
FROM member JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = relid
  JOIN pg_class s ON d.classid = 'pg_class'::regclass AND s.oid = d.objid
WHERE $5 AND s.relkind = 'S' AND d.deptype = 'a' AND d.refobjsubid > 0
UNION ALL
SELECT relid, 'rows of other tables go along with its rows (cleanup_relations)', false
FROM member WHERE EXISTS (SELECT FROM @extschema@.cleanup_relations r WHERE r.policy_id = $4)
UNION ALL
SELECT (p.target::regclass)::oid, 'it is the target of policy ' || quote_ident(p.policy), false
FROM @extschema@.cleanup_policies p WHERE p.policy_id <> $4 AND (p.target::regclass)::oid IN (SELECT relid FROM member))";

Datum oid_array(std::span<const Oid> oids)
{
    return pg::pg_call([&] {
        auto* datums = static_cast<Datum*>(palloc(sizeof(Datum) * (oids.size() + 1)));
        for (std::size_t n = 0; n < oids.size(); ++n)
            datums[n] = ObjectIdGetDatum(oids[n]);
        return PointerGetDatum(
            construct_array(datums, static_cast<int>(oids.size()), OIDOID, sizeof(Oid), true, TYPALIGN_INT));
    });
}

} // namespace

std::optional<std::string> row_by_row_reason(const Policy& policy)
{
    if (policy.partitions == "rows")
        return "the policy says so";
    if (policy.action != "delete")
        return concat("the action is ", policy.action);
    if (!policy.age_column)
        return "the policy has no age";
    if (policy.condition)
        return "the policy has a condition";
    if (policy.keep_last)
        return "the policy keeps the newest rows";
    return std::nullopt;
}

std::optional<std::string> PartitionObstacles::among(std::span<const Oid> members, std::span<const Oid> above) const
{
    // From the top: that is where people know it by its name.
    for (std::size_t n = above.size(); n-- > 0;)
        if (const auto found = inherited.find(above[n]); found != inherited.end())
            return found->second;
    for (const Oid member : members) {
        if (const auto found = own.find(member); found != own.end())
            return found->second;
        if (const auto found = inherited.find(member); found != inherited.end())
            return found->second;
    }
    return std::nullopt;
}

ObstacleSearch::ObstacleSearch(pg::Extension extension, const Policy& policy, Oid owner)
    : extension_(std::move(extension)), policy_id_(policy.id), drops_(policy.partitions == "drop"), owner_(owner)
{
}

PartitionObstacles ObstacleSearch::find(std::span<const Oid> members, std::span<const Oid> above)
{
    const pg::AsExtensionOwner bookkeeping(extension_);
    const pg::LatestSnapshot now;
    pg::Spi spi;
    pg::Parameters parameters;
    parameters.value(OIDARRAYOID, oid_array(members))
        .value(OIDARRAYOID, oid_array(above))
        .oid(owner_)
        .int8(policy_id_)
        .boolean(drops_);
    if (!plan_)
        plan_.emplace(pg::in_extension_schema(obstacles_sql, extension_), parameters.types());
    PartitionObstacles found;
    for (const std::vector<pg::Cell>& row : spi.run(*plan_, parameters, pg::Access::read_only)) {
        auto& list = pg::to_bool(row[2]) ? found.inherited : found.own;
        list.emplace(static_cast<Oid>(pg::to_int64(row[0])), pg::to_text(row[1]));
    }
    return found;
}

} // namespace pgcleanup
