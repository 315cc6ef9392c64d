// Deletes the families of one unit of work, in the transaction of a batch.
#pragma once

#include "extension/family_gather.h"

namespace pgcleanup {

// How a batch deletes what it gathered.
enum class RemovalWay {
    one_statement, // every row that goes, of all tables, by one WITH
    roots_only, // the eligible rows by plain DELETE, and the constraints do the rest: where a trigger of a row deletes
                // or changes others of its family, which one statement cannot do
    root_alone, // nothing is gathered: one eligible row by plain DELETE, and the constraints do all the rest, or raise
};

// A trigger kept rows: nothing may be committed, and they are known now.
class FamilyRefused {};

// What a batch did.
struct FamilyCounts {
    std::map<Oid, std::int64_t> roots; // eligible rows that went, by leaf table of the target
    std::int64_t deleted = 0;          // rows of all tables, as far as we deleted them
    std::int64_t refused = 0;          // rows that were asked for, and that a trigger keeps
    std::size_t largest = 0;           // rows of the largest family, where that was worth a look

    std::int64_t rows() const;
};

// One unit of work, in one transaction: remove(), then all constraints made immediate, then verify().
class FamilyRemoval {
public:
    // `refused` is added to by verify(): keep it over the attempts at one unit.
    FamilyRemoval(FamilyStatements& statements, RemovalHook* hook, RefusedRows& refused)
        : statements_(statements), hook_(hook), refused_(refused)
    {
    }

    // What locks and gathers for it.
    FamilyGatherer gatherer() const { return {statements_, GatherMode::lock, nullptr, &refused_}; }
    // Deletes what goes of a family that gatherer() has gathered in this transaction. Throws PgError.
    FamilyCounts remove(pg::Spi& spi, const Family& family, RemovalWay way);
    // Throws FamilyRefused when something that had to go, or to change, is still as it was.
    void verify();

private:
    std::vector<DeletePart> parts_of(const Family& family) const;
    void announce_changes(pg::Spi& spi, const Family& family);
    void expect_constraints(const Family& family);
    void announce_to_hook(pg::Spi& spi, const Family& family);
    FamilyCounts counts_of(const Family& family) const;
    void check_hook(const std::vector<FamilyStatements::Removed>& removed) const;

    FamilyStatements& statements_;
    RemovalHook* hook_;
    RefusedRows& refused_;
    std::vector<DeletePart> must_be_gone_;
    std::map<Oid, RowIds> must_be_changed_;
};

} // namespace pgcleanup
