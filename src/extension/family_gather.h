// Gathers families: eligible rows of the target, and everything that goes, changes, or is in the way.
#pragma once

#include "core/family_graph.h"
#include "extension/family_statements.h"

namespace pgcleanup {

enum class GatherMode {
    lock, // for deleting: rows that go are locked; what cannot be locked at once stays
    look, // for looking: nothing is locked, and nothing is another session's
};

inline core::RowPlace place_of(Oid table, const ItemPointerData& id)
{
    return {table, ItemPointerGetBlockNumberNoCheck(&id), ItemPointerGetOffsetNumberNoCheck(&id)};
}
ItemPointerData row_id_of(const core::RowPlace& place);

// A row that a constraint changes if the row of `node` goes.
struct ChangedRow {
    core::FamilyGraph::Node node;
    std::size_t link; // an index of FamilyLinks::all()
    core::RowPlace row;
};

// What was decided for one unit of work.
struct Family {
    using Node = core::FamilyGraph::Node;

    core::FamilyGraph graph;
    std::vector<core::FamilyGraph::Verdict> verdicts; // by node
    std::vector<ChangedRow> changed;                  // also for nodes that stay, and rows that go
    std::size_t given_roots = 0;                      // the first so many nodes are the rows that were asked for
    bool given_are_due = true;                        // false: dependent rows of a family that is split

    bool goes(Node node) const { return verdicts[node].fate == core::FamilyGraph::Fate::goes; }
    // An eligible row, whether it was asked for, pulled in, or taken along: it counts as a row of the target. What goes
    // and is no root counts as a dependent row.
    bool is_root(Node node) const { return graph.is_root(node) && (given_are_due || node >= given_roots); }
    // What changes: rows that stay, each once, for rows that go.
    std::vector<ChangedRow> changes() const;
};

// Is told of every tie that is followed, before it is known what goes; of one that is given up (FamilyTooLarge), too.
class LinkWatch {
public:
    using Node = core::FamilyGraph::Node;

    LinkWatch() = default;
    virtual ~LinkWatch() = default;
    LinkWatch(const LinkWatch&) = delete;
    LinkWatch& operator=(const LinkWatch&) = delete;
    // `row` is the other end of a link (an index of FamilyLinks::all()) from the row `node`, which goes if it can. It
    // may be gone already.
    virtual void linked(std::size_t link, Node node, const core::RowPlace& row) = 0;
    // Some row that stays blocks `node`, by this link. Which ones is told, by linked(), only to who wants to know.
    virtual void blocked(std::size_t link, Node node) = 0;
    virtual bool wants_every_blocker() const = 0;
};

// Rows that a trigger was seen to keep: from being deleted, or from being changed by a constraint.
struct RefusedRows {
    core::RowSet deletes;
    core::RowSet changes;
};

// More rows hang together with the unit's roots than one batch may have: fewer roots at a time would do.
class FamilyTooLarge {};

inline constexpr std::size_t most_rows_of_batch = 50'000;

// For one target, whose leaf tables may take turns.
class FamilyGatherer {
public:
    // Rows in `gone` are taken for deleted: for a dry run that goes unit by unit. Rows in `refused` stay: a trigger was
    // seen to keep them. Both may change between calls.
    FamilyGatherer(FamilyStatements& statements, GatherMode mode, const core::RowSet* gone = nullptr,
                   const RefusedRows* refused = nullptr, LinkWatch* watch = nullptr)
        : statements_(statements), mode_(mode), gone_(gone), refused_(refused), watch_(watch)
    {
    }

    // `roots` are eligible rows of `leaf`; in GatherMode::lock they are locked by this transaction. In an open Spi in
    // an OwnerTransaction. Other eligible rows of the target are pulled in when what blocks a row could go with them.
    // Throws FamilyTooLarge beyond `most_rows` rows, unless there is one root only.
    Family gather(pg::Spi& spi, Oid leaf, const RowIds& roots, std::size_t most_rows = most_rows_of_batch) const;
    // As gather(), but one root is bounded, too.
    Family gather_bounded(pg::Spi& spi, Oid leaf, const RowIds& roots, std::size_t most_rows) const;
    // The same for dependent rows, of any table: what goes with them, as if they were due.
    Family gather_dependents(pg::Spi& spi, Oid leaf, const RowIds& rows, std::size_t most_rows) const;

private:
    FamilyStatements& statements_;
    GatherMode mode_;
    const core::RowSet* gone_;
    const RefusedRows* refused_;
    LinkWatch* watch_;
};

} // namespace pgcleanup
