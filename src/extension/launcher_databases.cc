#include "extension/launcher_databases.h"

#include "extension/settings.h"
#include "pg/transaction.h"
#include "pg/version.h"

namespace pgcleanup {

using pg::pg_call;

namespace {

struct Found {
    Oid oid;
    NameData name;
};

// As plain data, in the transaction's memory.
struct FoundList {
    Found* databases;
    std::size_t count;
};

bool pg_is_usable(Form_pg_database database)
{
    return !database->datistemplate && database->datallowconn && !pg::is_invalid_database(database);
}

FoundList pg_read_databases()
{
    FoundList list{};
    std::size_t room = 64;
    list.databases = static_cast<Found*>(palloc(room * sizeof(Found)));
    Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
    for (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection); HeapTupleIsValid(tuple);
         tuple = heap_getnext(scan, ForwardScanDirection)) {
        auto* database = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (!pg_is_usable(database))
            continue;
        if (list.count == room)
            list.databases = static_cast<Found*>(repalloc(list.databases, (room *= 2) * sizeof(Found)));
        list.databases[list.count++] = {database->oid, database->datname};
    }
    table_endscan(scan);
    table_close(catalog, AccessShareLock);
    return list;
}

} // namespace

std::vector<ConnectableDatabase> connectable_databases()
{
    pg::WorkerTransaction transaction;
    const std::vector<std::string> wanted = scheduled_databases();
    std::vector<ConnectableDatabase> databases;
    const FoundList found = pg_call(pg_read_databases);
    for (const Found& one : std::span(found.databases, found.count)) {
        const std::string name = NameStr(one.name);
        if (wanted.empty() || std::ranges::find(wanted, name) != wanted.end())
            databases.push_back({one.oid, name});
    }
    transaction.commit();
    return databases;
}

} // namespace pgcleanup
