// Where a run archives the rows that it removes: the archive of each table, made or brought up to date before the first
// batch, and the SQL that puts rows there in the statement that deletes them.
#pragma once

#include "extension/archive_registry.h"
#include "extension/archive_table.h"
#include "extension/family_statements.h"

#include <map>

namespace pgcleanup {

// Raises unless archive_to and archive_retain go with the action, and archive_to can be a table's name.
void check_archive_options(const Policy& policy);
// The table whose archive takes in rows of `table`: the target for its own leaves, else the topmost partitioned table.
Oid archive_source(const Policy& policy, Oid table);

// What would happen in tables of other owners when rows of the policy's target are deleted, for people: neither could
// be archived. Empty when there is nothing.
std::string unarchivable_dependents(const Policy& policy, Oid owner);

class Archives : public RemovalHook {
public:
    Archives(const Policy& policy, std::int64_t run_id, Oid owner) : policy_(policy), run_id_(run_id), owner_(owner) {}

    // Raises when rows of the target cannot be archived as the policy says: a column's name clashes, the schema of
    // archive_to is not there, or a table that is not its archive stands in the archive's place. Catalogs only.
    void check() const;
    // Makes the archives of the target and of what depends on it, or brings them up to date, and registers them. In an
    // OwnerTransaction; changes nothing when they are as they should be. Raises, with a hint, what keeps the policy
    // from archiving. Call it again when a definition has changed.
    void prepare();
    void lock() const override;
    std::string returning(Oid leaf) const override;
    std::string statement(Oid leaf, std::string_view deleted) const override;
    // Keeps images of them.
    void before_changes(pg::Spi& spi, Oid leaf, Oid constraint, const RowIds& rows) override;
    void renew() override { prepare(); }

private:
    struct Archive {
        Oid table = InvalidOid;
        std::string name; // quoted, qualified
    };
    struct Place {
        std::string schema;
        std::string table;
        bool named_by_us = true;
    };
    const Archive& archive_of(Oid leaf) const;
    void prepare_source(Oid source);
    void prepare_for(Oid table);
    void prepare_related(Oid table);
    Place place_of(pg::Spi& spi, Oid source) const;
    Oid existing(pg::Spi& spi, Oid source, const Place& place) const;
    std::string own_values(std::string_view changed) const;

    const Policy& policy_;
    std::int64_t run_id_;
    Oid owner_;
    std::map<Oid, Archive> by_source_;
};

} // namespace pgcleanup
