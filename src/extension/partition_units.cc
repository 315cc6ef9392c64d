#include "extension/partition_units.h"

#include "extension/leaf_statements.h"
#include "extension/table_facts.h"

extern "C" {
#include "catalog/partition.h"
#include "partitioning/partdesc.h"
}

namespace pgcleanup {

using pg::pg_call;

namespace {

bool is_partitioned(Oid relation)
{
    return pg_call([&] { return get_rel_relkind(relation); }) == RELKIND_PARTITIONED_TABLE;
}

std::vector<Oid> to_vector(const List* oids)
{
    std::vector<Oid> result;
    result.reserve(static_cast<std::size_t>(list_length(oids)));
    for (int n = 0; n < list_length(oids); ++n)
        result.push_back(list_nth_oid(oids, n));
    return result;
}

std::vector<Oid> with_everything_below(Oid relation)
{
    return to_vector(pg_call([&] { return find_all_inheritors(relation, NoLock, nullptr); }));
}

// Runs inside pg_call. By bounds, with the DEFAULT partition last.
List* pg_partitions(Oid table)
{
    Relation relation = table_open(table, AccessShareLock);
    PartitionDesc description = RelationGetPartitionDesc(relation, true);
    List* partitions = NIL;
    for (int n = 0; n < description->nparts; ++n)
        partitions = lappend_oid(partitions, description->oids[n]);
    table_close(relation, NoLock);
    return partitions;
}

class Planner {
    using Tables = std::vector<Oid>;

public:
    Planner(const Policy& policy, const Eligibility& eligibility, Oid owner)
        : eligibility_(eligibility), reason_for_all_(row_by_row_reason(policy))
    {
        const Tables members = with_everything_below(policy.target);
        Tables above = tables_above(policy.target);
        above.insert(above.begin(), policy.target); // nearest first
        if (!reason_for_all_)
            obstacles_ = ObstacleSearch(pg::extension(), policy, owner).find(std::span(members).subspan(1), above);
        visit(policy.target, above);
    }

    PartitionPlan take() { return std::move(plan_); }

private:
    void visit(Oid table, const Tables& above)
    {
        const Tables partitions = partitions_of(table);
        Tables past;
        Tables past_by_contents;
        for (const Oid partition : partitions) {
            const BoundsVerdict verdict = judge_bounds(eligibility_, partition);
            if (verdict == BoundsVerdict::none_due)
                continue;
            if (!may_go(partition, above, verdict)) {
                visit_rows(partition, above);
                continue;
            }
            past.push_back(partition);
            if (verdict == BoundsVerdict::past)
                past_by_contents.push_back(partition);
        }
        const bool last_one_stays = !past.empty() && past.size() == partitions.size();
        for (const Oid partition : past) {
            if (last_one_stays && partition == past.back())
                go_by_rows(partition, above, "it is the last partition of its table");
            else
                add_unit(partition, std::ranges::find(past_by_contents, partition) != past_by_contents.end());
        }
        if (const Oid other = default_partition(table); OidIsValid(other))
            visit_rows(other, above);
    }

    void visit_rows(Oid partition, Tables above)
    {
        if (is_partitioned(partition)) {
            above.insert(above.begin(), partition);
            visit(partition, above);
        } else if (pg_call([&] { return get_rel_relkind(partition); }) == RELKIND_RELATION) {
            plan_.leaves.push_back(partition);
        }
    }

    void go_by_rows(Oid partition, const Tables& above, const std::string& reason)
    {
        ++plan_.row_by_row[reason];
        visit_rows(partition, above);
    }

    // Whether the partition may go as a whole; counts why not when its bounds would allow it.
    bool may_go(Oid partition, const Tables& above, BoundsVerdict verdict)
    {
        if (verdict == BoundsVerdict::unknown || reason_for_all_)
            return false;
        if (const auto reason = obstacles_.among(with_everything_below(partition), above)) {
            ++plan_.row_by_row[*reason];
            return false;
        }
        return verdict == BoundsVerdict::all_due || !holds_rows_that_stay(partition);
    }

    bool holds_rows_that_stay(Oid partition) const
    {
        return std::ranges::any_of(leaves_of(partition),
                                   [&](Oid leaf) { return pgcleanup::holds_rows_that_stay(eligibility_, leaf); });
    }

    void add_unit(Oid partition, bool contents_decide)
    {
        PartitionUnit unit{partition, leaves_of(partition), 0, contents_decide};
        for (const Oid leaf : unit.leaves)
            unit.blocks += block_count(leaf);
        plan_.units.push_back(std::move(unit));
    }

    const Eligibility& eligibility_;
    std::optional<std::string> reason_for_all_;
    PartitionObstacles obstacles_;
    PartitionPlan plan_;
};

} // namespace

std::int64_t PartitionPlan::blocks() const
{
    std::int64_t sum = 0;
    for (const PartitionUnit& unit : units)
        sum += unit.blocks;
    return sum;
}

std::vector<std::string> PartitionPlan::warnings() const
{
    std::vector<std::string> list;
    for (const auto& [reason, partitions] : row_by_row)
        list.push_back(pg::concat(partitions, partitions == 1 ? " partition lies" : " partitions lie",
                                  " wholly past the cutoff, but ", partitions == 1 ? "goes" : "go",
                                  " row by row: ", reason, "."));
    return list;
}

PartitionPlan plan_partitions(const Policy& policy, const Eligibility& eligibility, Oid owner)
{
    if (!is_partitioned(policy.target)) {
        PartitionPlan plan;
        plan.leaves = {policy.target};
        return plan;
    }
    return Planner(policy, eligibility, owner).take();
}

std::vector<Oid> tables_above(Oid relation)
{
    return to_vector(
        pg_call([&] { return get_rel_relispartition(relation) ? get_partition_ancestors(relation) : NIL; }));
}

std::vector<Oid> partitions_of(Oid table)
{
    std::vector<Oid> partitions = to_vector(pg_call([&] { return pg_partitions(table); }));
    std::erase(partitions, default_partition(table));
    return partitions;
}

Oid default_partition(Oid table)
{
    return pg_call([&] { return get_default_partition_oid(table); });
}

} // namespace pgcleanup
