#include "extension/oldest_row.h"

#include "extension/brief_look.h"
#include "extension/builtin_code.h"
#include "extension/eligibility.h"
#include "extension/index_probe.h"
#include "extension/table_facts.h"
#include "pg/text.h"
#include "pg/version.h"

extern "C" {
#include "utils/date.h"
}

namespace pgcleanup {

namespace {

constexpr int entries_to_look_at = 10'000;
constexpr int rows_to_test = 100;

// The year 9000: finite, and further off than any row is. What a run would take is a matter of its cutoff.
constexpr TimestampTz far_future = INT64CONST(7000) * 365 * USECS_PER_DAY;

ProbeStart probe_start(AgeKind kind)
{
    static constexpr std::array<unsigned char, UUID_LEN> zero{};
    switch (kind) {
    case AgeKind::date:
        return {DATEOID, DateADTGetDatum(DATEVAL_NOBEGIN)};
    case AgeKind::timestamp:
        return {TIMESTAMPOID, TimestampGetDatum(DT_NOBEGIN)};
    case AgeKind::timestamptz:
        return {TIMESTAMPTZOID, TimestampTzGetDatum(DT_NOBEGIN)};
    case AgeKind::int4:
        return {INT4OID, Int32GetDatum(0)};
    case AgeKind::int8:
        return {INT8OID, Int64GetDatum(0)};
    case AgeKind::uuid:
        return {UUIDOID, PointerGetDatum(zero.data())};
    case AgeKind::none:
        break;
    }
    return {};
}

// A probed value as something that sorts like it, whatever its type.
using SortKey = std::pair<std::uint64_t, std::uint64_t>;

SortKey sort_key(AgeKind kind, Datum value)
{
    constexpr std::uint64_t sign = std::uint64_t{1} << 63U;
    switch (kind) {
    case AgeKind::uuid: {
        const auto* bytes = reinterpret_cast<const unsigned char*>(DatumGetUUIDP(value)->data);
        SortKey key;
        for (int i = 0; i < 8; ++i) {
            key.first = key.first << 8U | bytes[i];
            key.second = key.second << 8U | bytes[8 + i];
        }
        return key;
    }
    case AgeKind::date:
        return {static_cast<std::uint64_t>(DatumGetDateADT(value)) ^ sign, 0};
    case AgeKind::int4:
        return {static_cast<std::uint64_t>(DatumGetInt32(value)) ^ sign, 0};
    default:
        return {static_cast<std::uint64_t>(DatumGetInt64(value)) ^ sign, 0};
    }
}

struct LeafProbe {
    Oid leaf;
    Probe probe;
    SortKey first; // of its oldest row
};

AttrNumber column_number(Oid leaf, const std::string& name)
{
    return pg::pg_call([&] { return get_attnum(leaf, name.c_str()); });
}

struct Ownership {
    Oid owner;
    bool hides_rows; // row security that applies to the owner himself
};

Ownership ownership_of(Oid table)
{
    return pg::pg_call([&] {
        Relation relation = table_open(table, AccessShareLock);
        const Form_pg_class row = relation->rd_rel;
        const Ownership ownership{row->relowner, row->relrowsecurity && row->relforcerowsecurity};
        table_close(relation, NoLock);
        return ownership;
    });
}

// The oldest rows of each leaf that has any, the leaf with the oldest first; nothing when a leaf cannot be probed.
std::optional<std::vector<LeafProbe>> probe_leaves(const Policy& policy, AgeKind kind)
{
    std::vector<LeafProbe> probes;
    for (const Oid leaf : leaves_of(policy.target)) {
        std::optional<Probe> probe = probe_index(leaf, column_number(leaf, *policy.age_column), probe_start(kind),
                                                 {.entries = entries_to_look_at, .rows = rows_to_test});
        if (!probe || (probe->gave_up && probe->rows.empty()))
            return std::nullopt;
        if (probe->rows.empty())
            continue;
        const SortKey first = sort_key(kind, probe->rows.front().value);
        probes.push_back({leaf, *std::move(probe), first});
    }
    std::ranges::sort(probes, {}, &LeafProbe::first);
    return probes;
}

bool condition_is_harmless(const Policy& policy)
{
    if (!policy.condition)
        return true;
    const pg::Plan plan(
        pg::concat("SELECT (", *policy.condition, ") FROM ", pg::relation_name(policy.target), " AS target"), {});
    return runs_builtin_code_only(plan);
}

Datum tid_array(const Probe& probe)
{
    std::vector<Datum> datums;
    for (const ProbedRow& row : probe.rows)
        datums.push_back(PointerGetDatum(&row.tid));
    return pg::pg_call([&] {
        return PointerGetDatum(construct_array(datums.data(), static_cast<int>(datums.size()), TIDOID,
                                               sizeof(ItemPointerData), false, TYPALIGN_SHORT));
    });
}

// The oldest of a leaf's probed rows that the policy is about, as its age and where it sorts.
struct FoundRow {
    std::string age;
    SortKey key;
};

SortKey key_of(const Probe& probe, AgeKind kind, const std::string& tid)
{
    for (const ProbedRow& row : probe.rows) {
        if (tid == pg::concat("(", ItemPointerGetBlockNumber(&row.tid), ",", ItemPointerGetOffsetNumber(&row.tid), ")"))
            return sort_key(kind, row.value);
    }
    pg::raise({.message = "pg_cleanup: a row was found that was not looked for"});
}

std::optional<FoundRow> oldest_of(pg::Spi& spi, const Eligibility& eligibility, const LeafProbe& leaf)
{
    pg::Parameters parameters;
    parameters.value(TIDARRAYOID, tid_array(leaf.probe));
    eligibility.add_parameters(parameters);
    const pg::Rows rows =
        spi.run(pg::concat("SELECT ", eligibility.age_as_timestamp(), ", target.ctid FROM ONLY ",
                           pg::relation_name(leaf.leaf), " AS target WHERE target.ctid = ANY ($1) AND ",
                           eligibility.row_test(2), " ORDER BY target.", *eligibility.age_column(), " LIMIT 1"),
                parameters, pg::Access::read_only);
    if (rows.empty())
        return std::nullopt;
    return FoundRow{pg::to_text(rows[0][0]), key_of(leaf.probe, eligibility.age_kind(), pg::to_text(rows[0][1]))};
}

// Leaf by leaf, from the one that begins with the oldest row, until no other can have an older one.
std::optional<OldestRow> oldest_of_leaves(pg::Spi& spi, const Eligibility& eligibility,
                                          const std::vector<LeafProbe>& leaves)
{
    std::optional<FoundRow> oldest;
    for (const LeafProbe& leaf : leaves) {
        if (oldest && oldest->key <= leaf.first)
            break;
        std::optional<FoundRow> found = oldest_of(spi, eligibility, leaf);
        if (!found && !leaf.probe.exhausted)
            return std::nullopt; // perhaps behind the rows that were looked at
        if (found && (!oldest || found->key < oldest->key))
            oldest = std::move(found);
    }
    return OldestRow{oldest ? std::optional(oldest->age) : std::nullopt};
}

} // namespace

std::optional<OldestRow> oldest_row(pg::Spi& spi, const Policy& policy)
{
    if (!policy.age_column || policy.keep_last) // behind the newest ones of each group, which would have to be found
        return std::nullopt;
    const Ownership ownership = ownership_of(policy.target);
    if (ownership.hides_rows)
        return std::nullopt;
    const AsOwnerOf as_owner(policy, ownership.owner);
    if (!condition_is_harmless(policy))
        return std::nullopt;
    const Eligibility eligibility(policy, {.cutoff = far_future, .from = {}, .to = {}});
    const std::optional<std::vector<LeafProbe>> probes = probe_leaves(policy, eligibility.age_kind());
    return probes ? oldest_of_leaves(spi, eligibility, *probes) : std::nullopt;
}

} // namespace pgcleanup
