#include "extension/family_split.h"

#include "extension/table_facts.h"
#include "pg/text.h"

namespace pgcleanup {

using core::RowPlace;
using pg::concat;

namespace {

class Splitting {
public:
    Splitting(pg::Spi& spi, FamilyStatements& statements, const FamilyGatherer& gatherer, std::size_t most_rows)
        : spi_(spi), statements_(statements), links_(statements.links()), gatherer_(gatherer), most_rows_(most_rows)
    {
    }

    // Down to a row whose children are small enough; each step down is to one row that is too large itself.
    std::optional<Family> find(RowPlace at)
    {
        path_.add(at);
        for (;;) {
            larger_.reset();
            for (const std::size_t link : links_.down(at.table)) {
                std::optional<Family> part = part_behind(link, at);
                if (part || larger_) {
                    if (part)
                        return part;
                    break;
                }
            }
            if (!larger_)
                return std::nullopt;
            at = *larger_;
        }
    }

private:
    std::optional<Family> part_behind(std::size_t link, const RowPlace& at)
    {
        if (!links_.all()[link].takes_along())
            return std::nullopt;
        std::map<Oid, RowIds> children;
        for (const LinkedRows& pair : statements_.down(spi_, link, at.table, {row_id_of(at)}, most_rows_))
            if (links_.is_ours(pair.table) && !path_.contains(place_of(pair.table, pair.other)))
                children[pair.table].push_back(pair.other);
        for (auto& [leaf, rows] : children) {
            if (links_.all()[link].kind == LinkKind::may)
                leave_out_shared(link, leaf, rows, at);
            std::optional<Family> part = part_with(leaf, statements_.lock(spi_, leaf, rows, RowLock::update));
            if (part || larger_)
                return part;
        }
        return std::nullopt;
    }

    // What somebody else needs, too, waits for the row itself to go.
    void leave_out_shared(std::size_t link, Oid leaf, RowIds& rows, const RowPlace& only_user)
    {
        core::RowSet shared;
        for (const LinkedRows& pair : statements_.users(spi_, link, leaf, rows, 2))
            if (place_of(pair.table, pair.other) != only_user)
                shared.add(place_of(leaf, pair.given));
        std::erase_if(rows, [&](const ItemPointerData& id) { return shared.contains(place_of(leaf, id)); });
    }

    // Of `rows`, as many as are not too large together; one that is too large alone is where to go down.
    std::optional<Family> part_with(Oid leaf, RowIds rows)
    {
        while (!rows.empty()) {
            try {
                Family family = gatherer_.gather_dependents(spi_, leaf, rows, most_rows_);
                for (Family::Node node = 0; node < family.given_roots; ++node)
                    if (family.goes(node))
                        return family;
                return std::nullopt;
            } catch (const FamilyTooLarge&) {
                if (rows.size() > 1) {
                    rows.resize(rows.size() / 2);
                    continue;
                }
                larger_ = place_of(leaf, rows.front());
                path_.add(*larger_);
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

    pg::Spi& spi_;
    FamilyStatements& statements_;
    const FamilyLinks& links_;
    const FamilyGatherer& gatherer_;
    std::size_t most_rows_;
    core::RowSet path_; // rows that are too large themselves: a cycle leads back to them
    std::optional<RowPlace> larger_;
};

std::string root_sql(Oid leaf)
{
    return concat("SELECT target.tableoid, target.ctid FROM ONLY ", pg::relation_name(leaf),
                  " AS target WHERE target.ctid OPERATOR(pg_catalog.=) ANY ($1)");
}

// Whether what goes with a row, and what blocks it, is all that foreign keys say, and none of it lies in the same
// table.
bool has_probes(const FamilyLinks& links, Oid leaf, Oid owner)
{
    return !links.has_relations() && !cascade_from(leaf, owner).cyclic &&
           std::ranges::none_of(links.all(), [&](const FamilyLink& link) {
               return link.is_absolute || (link.kind == LinkKind::blocker && links.may_go(link.to));
           });
}

// The other ends of a link of the rows `going`, with `more` columns.
std::string next_sql(const FamilyLink& link, const std::string& more)
{
    return concat("SELECT r.tableoid, r.ctid", more, " FROM ", from_table(link.from), " AS p, ", from_table(link.to),
                  " AS r WHERE p.tableoid OPERATOR(pg_catalog.=) going.tab AND p.ctid OPERATOR(pg_catalog.=) going.tid"
                  " AND ",
                  link.match, " AND NOT (", same_row("r", "p"), ")");
}

// Rows that block the root `$1` or what must go with it: that do not go with it, or never count as going. Empty:
// nothing can.
std::string blockers_sql(const FamilyLinks& links, Oid leaf)
{
    std::string steps;
    std::string blockers;
    for (const FamilyLink& link : links.all()) {
        const auto add = [](std::string& united, const std::string& sql) {
            united += (united.empty() ? "" : " UNION ALL ") + sql;
        };
        if (link.kind == LinkKind::must)
            add(steps, next_sql(link, ""));
        if (link.kind != LinkKind::blocker)
            continue;
        const bool are_ours = std::ranges::all_of(leaves_of(link.to), [&](Oid part) { return links.is_ours(part); });
        add(blockers, next_sql(link, link.is_absolute || !are_ours ? ", true" : ", false"));
    }
    if (blockers.empty())
        return "";
    if (!steps.empty())
        steps =
            concat(" UNION SELECT next.tab, next.tid FROM going CROSS JOIN LATERAL (", steps, ") AS next (tab, tid)");
    return concat("WITH RECURSIVE going (tab, tid) AS (", root_sql(leaf), steps,
                  ") SELECT true FROM going CROSS JOIN LATERAL (", blockers,
                  ") AS blocker (tab, tid, stays) WHERE blocker.stays OR NOT EXISTS (SELECT FROM going AS gone"
                  " WHERE gone.tab OPERATOR(pg_catalog.=) blocker.tab"
                  " AND gone.tid OPERATOR(pg_catalog.=) blocker.tid) LIMIT 1");
}

} // namespace

std::optional<Family> part_of_family(pg::Spi& spi, FamilyStatements& statements, const FamilyGatherer& gatherer,
                                     Oid leaf, const ItemPointerData& root, std::size_t most_rows)
{
    return Splitting(spi, statements, gatherer, most_rows).find(place_of(leaf, root));
}

bool is_unblocked(pg::Spi& spi, const FamilyLinks& links, Oid leaf, Oid owner, const ItemPointerData& root)
{
    const pg::Parameters row = std::move(pg::Parameters().value(TIDARRAYOID, row_id_array(RowIds{root})));
    // One probe a row and key, and no memory, where that is the whole truth.
    if (has_probes(links, leaf, owner))
        return !spi.run(concat(root_sql(leaf), " AND ", not_referenced_test(leaf, owner)), row).empty();
    const std::string sql = blockers_sql(links, leaf);
    return sql.empty() || spi.run(sql, row).empty();
}

} // namespace pgcleanup
