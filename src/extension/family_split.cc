#include "extension/family_split.h"

#include "pg/text.h"

namespace pgcleanup {

using core::RowPlace;

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

} // namespace

std::optional<Family> part_of_family(pg::Spi& spi, FamilyStatements& statements, const FamilyGatherer& gatherer,
                                     Oid leaf, const ItemPointerData& root, std::size_t most_rows)
{
    return Splitting(spi, statements, gatherer, most_rows).find(place_of(leaf, root));
}

bool is_unblocked(pg::Spi& spi, Oid leaf, Oid owner, const ItemPointerData& root)
{
    const std::string sql = pg::concat("SELECT 1 FROM ONLY ", pg::relation_name(leaf),
                                       " AS target WHERE target.ctid OPERATOR(pg_catalog.=) ANY ($1) AND ",
                                       not_referenced_test(leaf, owner));
    return !spi.run(sql, pg::Parameters().value(TIDARRAYOID, row_id_array(RowIds{root}))).empty();
}

} // namespace pgcleanup
