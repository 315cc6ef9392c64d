// The statements with which families are gathered and deleted, composed when first needed and kept prepared. They name
// ONLY leaf tables where row ids are given: an id is unique only there.
#pragma once

#include "extension/eligibility.h"
#include "extension/family_links.h"
#include "extension/row_ids.h"
#include "extension/tid_plan.h"

namespace pgcleanup {

// Two rows that a link ties: one of the leaf table that was asked about, and one of another.
struct LinkedRows {
    ItemPointerData given;
    Oid table;
    ItemPointerData other;
};

enum class RowLock { none, no_key_update, update };

// Rows of one leaf table that are deleted together.
struct DeletePart {
    Oid leaf = InvalidOid;
    bool is_tested = false; // age and condition are tested in the statement itself: the eligible rows
    RowIds rows;
};

// What else is done in the statement that deletes, e.g. keeping what it deletes.
class RemovalHook {
public:
    RemovalHook() = default;
    virtual ~RemovalHook() = default;
    RemovalHook(const RemovalHook&) = delete;
    RemovalHook& operator=(const RemovalHook&) = delete;
    // Locks where rows go, so that nothing else takes its name before the batch is over, and where they come from, so
    // that no new key takes other rows along. At the start of a batch, before it is known whether a definition has
    // changed; raises when that takes longer than lock_timeout.
    virtual void lock() const = 0;
    // What the DELETE of the leaf's rows, under the alias `target`, returns: a target list.
    virtual std::string returning(Oid leaf) const = 0;
    // A statement that changes data, takes the rows from the common table expression `deleted`, and returns one row for
    // each; empty: none.
    virtual std::string statement(Oid leaf, std::string_view deleted) const = 0;
    // Before the statement, in its transaction: rows that stay, and that a constraint is going to change.
    virtual void before_changes(pg::Spi& spi, Oid leaf, Oid constraint, const RowIds& rows) = 0;
    // A definition has changed: what was composed may be out of date. In a batch's transaction.
    virtual void renew() = 0;
};

class FamilyStatements {
public:
    // With Access::read_only nothing is locked or deleted, and all is read with the active snapshot.
    FamilyStatements(const Eligibility& eligibility, const FamilyLinks& links,
                     pg::Access access = pg::Access::read_write)
        : eligibility_(eligibility), links_(links), access_(access)
    {
    }

    const FamilyLinks& links() const noexcept { return links_; }
    // Composes and plans everything anew, after a definition changed.
    void renew() { plans_.clear(); }

    // Each needs an open Spi in an OwnerTransaction, and takes a snapshot of its own (with Access::read_write).

    // The other ends of a link: `given` are its `p` (down) or `r` (up) of the leaf. More than `most` rows are cut off,
    // and the result then has one more than that.
    std::vector<LinkedRows> down(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given, std::size_t most);
    std::vector<LinkedRows> up(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given, std::size_t most);
    // The first few rows of the link's users for each `r`.
    std::vector<LinkedRows> users(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given,
                                  std::int64_t most_each);
    // Which of the rows some row of the link's other end references; a row does not count for itself.
    RowIds blocked(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& rows);

    // Those that are there, and could be locked at once.
    RowIds lock(pg::Spi& spi, Oid leaf, const RowIds& rows, RowLock lock);
    // Of rows of a leaf of the target, those that are eligible, and could be locked at once.
    RowIds eligible(pg::Spi& spi, Oid leaf, const RowIds& rows, RowLock lock);

    // Deletes all parts in one statement, in their order; how many rows of each part went, and how many the hook's
    // statement returned for it.
    struct Removed {
        std::int64_t deleted = 0;
        std::int64_t hooked = 0;
    };
    std::vector<Removed> remove(pg::Spi& spi, const std::vector<DeletePart>& parts, const RemovalHook* hook);

private:
    std::vector<LinkedRows> linked(pg::Spi& spi, const std::string& sql, const RowIds& given, std::size_t most,
                                   const pg::Parameters& more = {});
    RowIds ids(pg::Spi& spi, const std::string& sql, const RowIds& rows, bool with_eligibility);
    const pg::Plan& plan(const std::string& sql, const pg::Parameters& parameters);

    const Eligibility& eligibility_;
    const FamilyLinks& links_;
    pg::Access access_;
    std::map<std::string, TidPlan> plans_;
};

} // namespace pgcleanup
