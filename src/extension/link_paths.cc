#include "extension/link_paths.h"

#include "extension/leaf_statements.h"
#include "extension/table_facts.h"
#include "pg/text.h"

#include <deque>

namespace pgcleanup {

namespace {

// Breadth first: the first path to a table is a shortest one.
class PathFinder {
public:
    PathFinder(const Policy& policy, Oid reader) : policy_(policy), reader_(reader) {}

    std::vector<LinkPath> find()
    {
        references_ = *references_behind(policy_.target);
        reach(policy_.target, {pg::relation_name(policy_.target)});
        for (const DeclaredRelation& relation : relations_of(policy_))
            add_relation(relation);
        while (!waiting_.empty()) {
            const Oid table = waiting_.front();
            waiting_.pop_front();
            for (const ForeignKey& key : references_[table])
                add_key(table, key);
        }
        sort();
        return std::move(found_);
    }

private:
    void reach(Oid table, std::vector<std::string> path)
    {
        if (paths_.emplace(table, std::move(path)).second)
            waiting_.push_back(table);
    }

    void add_relation(const DeclaredRelation& relation)
    {
        const auto more = references_behind(relation.related);
        references_.insert(more->begin(), more->end());
        LinkPath link;
        link.key = relation_key(relation, policy_.target);
        link.is_relation = true;
        link.unless_referenced = relation.unless_referenced;
        if (relation.unless_referenced)
            link.unindexed_target = unindexed_in_target(relation, policy_.target);
        link.tables = {paths_[policy_.target].front(), link.key.referencing_name};
        reach(relation.related, link.tables);
        found_.push_back(std::move(link));
    }

    void add_key(Oid table, const ForeignKey& key)
    {
        if (is_known(key))
            return;
        LinkPath link;
        link.key = key;
        link.is_readable = may_read(key.referencing, reader_);
        link.tables = paths_[table];
        link.tables.push_back(key.referencing_name);
        if (key.cascades() && link.is_readable)
            reach(key.referencing, link.tables);
        found_.push_back(std::move(link));
    }

    // A key of a partitioned table has a copy for each partition, under the name of the whole: where both are reached,
    // what counts is the whole, and the shorter way.
    bool is_known(const ForeignKey& key)
    {
        for (LinkPath& link : found_) {
            ForeignKey& other = link.key;
            if (link.is_relation || other.referencing != key.referencing || other.name != key.name)
                continue;
            if (is_leaf_of(key.referenced, other.referenced))
                return true;
            if (is_leaf_of(other.referenced, key.referenced)) {
                other = key;
                return true;
            }
        }
        return false;
    }

    void sort()
    {
        std::ranges::stable_sort(found_, [](const LinkPath& left, const LinkPath& right) {
            return std::tuple(left.tables.size(), left.tables, left.key.name) <
                   std::tuple(right.tables.size(), right.tables, right.key.name);
        });
    }

    const Policy& policy_;
    Oid reader_;
    ReferenceGraph references_;
    std::map<Oid, std::vector<std::string>> paths_;
    std::deque<Oid> waiting_;
    std::vector<LinkPath> found_;
};

} // namespace

std::vector<LinkPath> link_paths(const Policy& policy, Oid reader)
{
    return PathFinder(policy, reader).find();
}

} // namespace pgcleanup
