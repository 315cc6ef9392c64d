#include "extension/family_removal.h"

#include "extension/settings.h"
#include "pg/text.h"

namespace pgcleanup {

using core::FamilyGraph;
using pg::concat;

std::int64_t FamilyCounts::rows() const
{
    std::int64_t sum = 0;
    for (const auto& [leaf, rows] : roots)
        sum += rows;
    return sum;
}

// The eligible rows of a table before its other rows; referenced tables first, or triggers of rows that go would still
// find, and could change, what goes with them.
std::vector<DeletePart> FamilyRemoval::parts_of(const Family& family) const
{
    std::map<std::pair<Oid, bool>, RowIds> rows;
    std::vector<Oid> leaves;
    for (FamilyGraph::Node node = 0; node < family.graph.size(); ++node) {
        const core::RowPlace& place = family.graph.row(node);
        if (!family.goes(node) || !statements_.links().is_ours(place.table))
            continue;
        rows[{place.table, family.is_root(node)}].push_back(row_id_of(place));
        if (std::ranges::find(leaves, place.table) == leaves.end())
            leaves.push_back(place.table);
    }
    std::vector<DeletePart> parts;
    for (const Oid leaf : statements_.links().referenced_first(leaves)) {
        for (const bool is_root : {true, false}) {
            const auto found = rows.find({leaf, is_root});
            if (found == rows.end())
                continue;
            std::sort(found->second.begin(), found->second.end(), row_id_less);
            parts.push_back({leaf, is_root, std::move(found->second)});
        }
    }
    return parts;
}

void FamilyRemoval::announce_changes(pg::Spi& spi, const Family& family)
{
    for (const ChangedRow& change : family.changes())
        must_be_changed_[change.row.table].push_back(row_id_of(change.row));
    if (hook_ != nullptr)
        announce_to_hook(spi, family);
}

// A row that several constraints change is announced for each of them, once.
void FamilyRemoval::announce_to_hook(pg::Spi& spi, const Family& family)
{
    struct Changes {
        Oid constraint = InvalidOid;
        core::RowSet seen;
        RowIds rows;
    };
    // By leaf and name: a partition's copy of a constraint has another OID, and changes the same rows.
    std::map<std::pair<Oid, std::string>, Changes> changes;
    for (const ChangedRow& change : family.changed) {
        const auto node = family.graph.find(change.row);
        if (!family.goes(change.node) || (node && family.goes(*node)) || !statements_.links().is_ours(change.row.table))
            continue;
        const FamilyLink& link = statements_.links().all()[change.link];
        Changes& of_link = changes[{change.row.table, link.name}];
        of_link.constraint = link.constraint;
        if (of_link.seen.add(change.row))
            of_link.rows.push_back(row_id_of(change.row));
    }
    for (auto& [of, these] : changes) {
        std::sort(these.rows.begin(), these.rows.end(), row_id_less);
        hook_->before_changes(spi, of.first, these.constraint, these.rows);
    }
}

// Rows of other owners' tables: the constraints delete them, unless a trigger there keeps them.
void FamilyRemoval::expect_constraints(const Family& family)
{
    std::map<Oid, RowIds> rows;
    for (FamilyGraph::Node node = 0; node < family.graph.size(); ++node) {
        const core::RowPlace& place = family.graph.row(node);
        if (family.goes(node) && !statements_.links().is_ours(place.table))
            rows[place.table].push_back(row_id_of(place));
    }
    for (auto& [leaf, ids] : rows)
        must_be_gone_.push_back({leaf, false, std::move(ids)});
}

FamilyCounts FamilyRemoval::counts_of(const Family& family) const
{
    FamilyCounts counts;
    std::int64_t going = 0;
    for (FamilyGraph::Node node = 0; node < family.graph.size(); ++node) {
        going += family.goes(node) ? 1 : 0;
        if (node < family.given_roots && family.verdicts[node].fate == FamilyGraph::Fate::refused)
            ++counts.refused;
    }
    if (going > max_family_rows())
        counts.largest = family.graph.largest_family(family.verdicts);
    return counts;
}

void FamilyRemoval::check_hook(const std::vector<FamilyStatements::Removed>& removed) const
{
    for (std::size_t n = 0; n < removed.size() && hook_ != nullptr; ++n) {
        const Oid leaf = must_be_gone_[n].leaf;
        if (!hook_->statement(leaf, "d").empty() && removed[n].hooked != removed[n].deleted)
            pg::raise({.sqlstate = ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION,
                       .message = concat(removed[n].deleted, " rows of ", pg::relation_name(leaf),
                                         " were deleted, but ", removed[n].hooked, " were kept elsewhere"),
                       .hint = "Look for triggers and rules on the table that is to keep them."});
    }
}

FamilyCounts FamilyRemoval::remove(pg::Spi& spi, const Family& family, RemovalWay way)
{
    FamilyCounts counts = counts_of(family);
    must_be_gone_ = parts_of(family);
    if (must_be_gone_.empty())
        return counts;
    announce_changes(spi, family);
    std::vector<DeletePart> parts = must_be_gone_;
    if (way == RemovalWay::roots_only)
        std::erase_if(parts, [](const DeletePart& part) { return !part.is_tested; });
    const std::vector<FamilyStatements::Removed> removed = statements_.remove(spi, parts, hook_);
    if (way == RemovalWay::one_statement)
        check_hook(removed);
    for (std::size_t n = 0; n < parts.size(); ++n) {
        counts.deleted += removed[n].deleted;
        if (parts[n].is_tested)
            counts.roots[parts[n].leaf] += removed[n].deleted;
    }
    // What one statement says that it deleted is gone, and need not be looked for.
    for (std::size_t n = removed.size(); way == RemovalWay::one_statement && n-- > 0;)
        if (removed[n].deleted == static_cast<std::int64_t>(must_be_gone_[n].rows.size()))
            must_be_gone_.erase(must_be_gone_.begin() + static_cast<std::ptrdiff_t>(n));
    expect_constraints(family);
    return counts;
}

void FamilyRemoval::verify()
{
    bool is_refused = false;
    const auto refuse = [&](core::RowSet& refused, Oid leaf, const RowIds& rows) {
        for (const ItemPointerData& id : rows)
            refused.add(place_of(leaf, id));
        is_refused = is_refused || !rows.empty();
    };
    // What a trigger keeps may have been changed since: SET NULL finds it after the DELETE.
    for (const DeletePart& part : must_be_gone_)
        refuse(refused_.deletes, part.leaf, rows_that_are_there(part.leaf, part.rows));
    for (const auto& [leaf, rows] : must_be_changed_)
        refuse(refused_.changes, leaf, rows_that_are_unchanged(leaf, rows));
    if (is_refused)
        throw FamilyRefused();
}

} // namespace pgcleanup
