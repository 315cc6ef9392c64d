#include "extension/index_probe.h"

#include "pg/version.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
}

namespace pgcleanup {

namespace {

// All of these may longjmp.

// Whether a snapshot of ours may use the index (HOT chains that were broken while it was built: planner's rule).
bool pg_is_usable_now(Relation index)
{
    if (!index->rd_index->indisvalid)
        return false;
    return !index->rd_index->indcheckxmin ||
           TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin);
}

bool pg_is_led_by(Relation index, AttrNumber column, Oid family)
{
    return index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indkey.values[0] == column &&
           index->rd_opfamily[0] == family && heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
}

Oid pg_btree_family(Oid type)
{
    const Oid op_class = GetDefaultOpClass(type, BTREE_AM_OID);
    return OidIsValid(op_class) ? get_opclass_family(op_class) : InvalidOid;
}

// The open index, or null.
Relation pg_find_index(Relation table, AttrNumber column, Oid type)
{
    const Oid family = pg_btree_family(type);
    List* indexes = RelationGetIndexList(table);
    ListCell* cell = nullptr;
    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        if (pg_is_led_by(index, column, family) && pg_is_usable_now(index))
            return index;
        index_close(index, AccessShareLock);
    }
    return nullptr;
}

void pg_init_key(ScanKey key, Relation index, const ProbeStart& start)
{
    const Oid type = index->rd_opcintype[0];
    const Oid greater = get_opfamily_member(index->rd_opfamily[0], type, start.type, BTGreaterStrategyNumber);
    if (!OidIsValid(greater))
        elog(ERROR, "no operator > for type %u", start.type);
    ScanKeyEntryInitialize(key, 0, 1, BTGreaterStrategyNumber, start.type, InvalidOid, get_opcode(greater),
                           start.above);
}

// What a scan brought so far, as plain data.
struct RawProbe {
    ProbedRow* rows;
    int count;
    bool found_index;
    bool exhausted;
};

void pg_collect(IndexScanDesc scan, ScanDirection direction, TupleTableSlot* slot, AttrNumber column,
                const ProbeLimits& limits, RawProbe* probe)
{
    const Form_pg_attribute attribute = TupleDescAttr(slot->tts_tupleDescriptor, column - 1);
    for (int entry = 0; entry < limits.entries && probe->count < limits.rows; ++entry) {
        CHECK_FOR_INTERRUPTS();
        if (index_getnext_tid(scan, direction) == nullptr) {
            probe->exhausted = true;
            return;
        }
        if (!index_fetch_heap(scan, slot))
            continue;
        bool is_null = false;
        const Datum value = slot_getattr(slot, column, &is_null);
        probe->rows[probe->count++] = {slot->tts_tid, datumCopy(value, attribute->attbyval, attribute->attlen)};
        ExecClearTuple(slot);
    }
}

RawProbe pg_probe(Oid relation, AttrNumber column, const ProbeStart& start, const ProbeLimits& limits)
{
    RawProbe probe{};
    Relation table = table_open(relation, AccessShareLock);
    Relation index = pg_find_index(table, column, start.type);
    if (index != nullptr) {
        probe.found_index = true;
        probe.rows = static_cast<ProbedRow*>(palloc(sizeof(ProbedRow) * static_cast<std::size_t>(limits.rows)));
        ScanKeyData key;
        pg_init_key(&key, index, start);
        IndexScanDesc scan = pg::pg_index_beginscan(table, index, GetActiveSnapshot(), 1);
        index_rescan(scan, &key, 1, nullptr, 0);
        TupleTableSlot* slot = table_slot_create(table, nullptr);
        const bool descends = (index->rd_indoption[0] & INDOPTION_DESC) != 0;
        pg_collect(scan, descends ? BackwardScanDirection : ForwardScanDirection, slot, column, limits, &probe);
        ExecDropSingleTupleTableSlot(slot);
        index_endscan(scan);
        index_close(index, AccessShareLock);
    }
    table_close(table, AccessShareLock);
    return probe;
}

} // namespace

std::optional<Probe> probe_index(Oid table, AttrNumber column, const ProbeStart& start, const ProbeLimits& limits)
{
    const RawProbe raw = pg::pg_call([&] { return pg_probe(table, column, start, limits); });
    if (!raw.found_index)
        return std::nullopt;
    Probe probe;
    probe.rows.assign(raw.rows, raw.rows + raw.count);
    probe.exhausted = raw.exhausted;
    probe.gave_up = !raw.exhausted && raw.count < limits.rows;
    return probe;
}

} // namespace pgcleanup
