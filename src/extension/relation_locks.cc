#include "extension/relation_locks.h"

#include "extension/leaf_statements.h"
#include "extension/relation.h"
#include "extension/set_values.h"

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

void add_related(Oid related, std::vector<Oid>& relations)
{
    if (!OidIsValid(related))
        return; // the run will say so
    relations.push_back(related);
    for (const Oid leaf : leaf_tables(related)) {
        relations.push_back(leaf);
        for (const Oid dependent : dependents_of(leaf))
            relations.push_back(dependent);
    }
}

} // namespace

std::vector<Oid> touched_relations(const Policy& policy)
{
    std::vector<Oid> relations{policy.target};
    for (const Oid leaf : leaf_tables(policy.target)) {
        relations.push_back(leaf);
        if (updates_rows(policy))
            continue;
        for (const Oid dependent : dependents_of(leaf))
            relations.push_back(dependent);
    }
    for (const DeclaredRelation& relation : relations_of(policy))
        add_related(relation.related, relations);
    std::sort(relations.begin(), relations.end());
    relations.erase(std::unique(relations.begin(), relations.end()), relations.end());
    return relations;
}

} // namespace pgcleanup
