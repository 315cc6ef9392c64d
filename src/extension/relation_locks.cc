#include "extension/relation_locks.h"

#include "extension/archive_registry.h"
#include "extension/references.h"
#include "extension/relation.h"
#include "extension/set_values.h"
#include "extension/table_facts.h"

namespace pgcleanup {

RelationLocks::~RelationLocks()
{
    release();
}

void RelationLocks::release() noexcept
{
    for (const Oid relation : taken_) {
        try {
            pg::LockTag(anchor_, pg::LockKind::relation_run, relation).unlock(ExclusiveLock, true);
        } catch (const pg::PgError& error) {
            pg::log_error(WARNING, "while releasing a lock: ", error);
        }
    }
    taken_.clear();
}

std::optional<Oid> RelationLocks::take(std::span<const Oid> relations)
{
    for (const Oid relation : relations) {
        if (!pg::LockTag(anchor_, pg::LockKind::relation_run, relation).try_lock(ExclusiveLock, true)) {
            release();
            return relation;
        }
        taken_.push_back(relation);
    }
    return std::nullopt;
}

namespace {

// A table with its leaves; and, when rows of it are deleted, all that goes or changes with them.
void add_table(Oid table, bool rows_go, std::vector<Oid>& relations)
{
    relations.push_back(table);
    for (const Oid leaf : leaves_of(table))
        relations.push_back(leaf);
    if (!rows_go)
        return;
    for (const Oid dependent : dependents_of(table))
        relations.push_back(dependent);
}

} // namespace

std::vector<Oid> touched_relations(pg::Spi& spi, const pg::Extension& extension, const Policy& policy)
{
    std::vector<Oid> relations;
    add_table(policy.target, !updates_rows(policy), relations);
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (OidIsValid(relation.related)) // otherwise the run will say so
            add_table(relation.related, true, relations);
    }
    for (const ArchiveEntry& entry : archives_of_policy(spi, extension, policy.id)) {
        if (OidIsValid(entry.archive))
            add_table(entry.archive, false, relations);
        if (OidIsValid(entry.source))
            add_table(entry.source, true, relations);
    }
    std::sort(relations.begin(), relations.end());
    relations.erase(std::unique(relations.begin(), relations.end()), relations.end());
    return relations;
}

} // namespace pgcleanup
