// Warnings about triggers: what fires, and whose code it is.
#include "extension/set_values.h"
#include "extension/table_facts.h"
#include "extension/warnings.h"
#include "pg/identity.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

// tgtype's bits (pg_trigger.h): ROW 1, BEFORE 2, DELETE 8, UPDATE 16, INSTEAD 64.
constexpr std::int32_t fires_on_delete = 8;
constexpr std::int32_t fires_on_update = 16;

// Triggers of a partitioned table have copies in its partitions: named once, with the table that has the topmost one.
constexpr const char* triggers_sql = R"(
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS table_name, quote_ident(g.tgname) AS trigger_name,
  CASE WHEN g.tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END, CASE WHEN g.tgtype & 1 <> 0 THEN 'row' ELSE 'statement' END,
  f.oid::regprocedure::text, f.proowner
FROM pg_trigger g
  JOIN pg_proc f ON f.oid = g.tgfoid
  JOIN pg_class c ON c.oid = g.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE g.tgrelid = ANY ($1::oid[]) AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & $2 <> 0
  AND NOT (g.tgparentid <> 0 AND EXISTS (
    SELECT FROM pg_trigger p WHERE p.oid = g.tgparentid AND p.tgrelid = ANY ($1::oid[])))
ORDER BY table_name, trigger_name)";

constexpr const char* trigger_grants_sql = R"(
SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.oid = ANY ($1::oid[]) AND a.privilege_type = 'TRIGGER' AND a.grantee <> c.relowner
  AND (a.grantee = 0 OR NOT r.rolsuper)
ORDER BY 1)";

std::string oid_array(const std::vector<Oid>& oids)
{
    std::string text = "{";
    for (const Oid oid : oids)
        text += (text.size() == 1 ? "" : ",") + std::to_string(oid);
    return text + "}";
}

pg::Rows triggers_of(pg::Spi& spi, const std::vector<Oid>& tables, std::int32_t event)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    return spi.run(triggers_sql, pg::Parameters().text(oid_array(tables)).int4(event));
}

// Row triggers of a partitioned table fire in its partitions; a run deletes from those only, so its statement triggers
// do not fire. A constraint's action names the partitioned table, so there both do.
std::vector<Oid> with_partitions(Oid table)
{
    std::vector<Oid> tables = leaves_of(table);
    if (std::ranges::find(tables, table) == tables.end())
        tables.push_back(table);
    return tables;
}

void warn(const pg::Rows& triggers, const char* event, Warnings& list)
{
    std::vector<std::string> names;
    for (const std::vector<pg::Cell>& row : triggers)
        names.push_back(concat(*row[1], " on ", *row[0], " (", *row[2], " ", event, ", ", *row[3], ", ", *row[4], ")"));
    if (!names.empty())
        list.push_back(
            concat("Triggers will fire: ", listed(names),
                   ". They run for every batch and slow it down; one that returns NULL or raises an error keeps"
                   " its row."));
}

void add_unique(std::vector<Oid>& tables, Oid added)
{
    for (const Oid table : with_partitions(added))
        if (std::ranges::find(tables, table) == tables.end())
            tables.push_back(table);
}

bool is_superuser(Oid role)
{
    return pg::pg_call([&] { return superuser_arg(role); });
}

} // namespace

void warn_of_triggers(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    std::vector<Oid> deleted;
    std::vector<Oid> updated;
    (updates_rows(facts.policy) ? updated : deleted).assign(facts.leaves.begin(), facts.leaves.end());
    for (const ForeignKey* key : keys_met(facts))
        if (!key->blocks())
            add_unique(key->cascades() ? deleted : updated, key->referencing);
    warn(triggers_of(spi, deleted, fires_on_delete), "DELETE", list);
    warn(triggers_of(spi, updated, fires_on_update), "UPDATE", list);
}

void warn_of_foreign_triggers(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    if (!is_superuser(facts.owner))
        return;
    const std::vector<Oid> tables = with_partitions(facts.policy.target);
    const std::int32_t event = updates_rows(facts.policy) ? fires_on_update : fires_on_delete;
    std::vector<std::string> doubtful;
    for (const std::vector<pg::Cell>& row : triggers_of(spi, tables, event)) {
        const Oid function_owner = static_cast<Oid>(pg::to_int64(row[5]));
        if (!is_superuser(function_owner))
            doubtful.push_back(concat("trigger ", *row[1], " runs ", *row[4], " of ",
                                      pg::quote_identifier(pg::role_name(function_owner))));
    }
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    for (const std::vector<pg::Cell>& row : spi.run(trigger_grants_sql, pg::Parameters().text(oid_array(tables))))
        doubtful.push_back(concat(*row[0], " may create triggers on it"));
    if (!doubtful.empty())
        list.push_back(concat(pg::relation_name(facts.policy.target), " belongs to the superuser ",
                              pg::quote_identifier(pg::role_name(facts.owner)),
                              ", so a run would carry out other roles' code as a"
                              " superuser: ",
                              listed(doubtful), ". Give the table to a role that is none: ALTER TABLE ",
                              pg::relation_name(facts.policy.target), " OWNER TO ...;"));
}

} // namespace pgcleanup
