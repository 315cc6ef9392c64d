#include "extension/strategy.h"

#include "extension/leaf_statements.h"

#include "pg/settings_scope.h"
#include "pg/text.h"

extern "C" {
#include "nodes/plannodes.h"
#include "utils/plancache.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

// Rows asked for at a time, and the most that their ties may make of it: 600 kB of row ids.
constexpr int chunk_rows = 25'000;
constexpr std::size_t chunk_capacity = 100'000;

// What the planner does for a statement with these very values.
enum class Reach { whole_table, index, ordered_index };

struct Expectation {
    Reach reach;
    double rows;
};

Reach reach_of(const ::Plan* node)
{
    bool sorted = false;
    for (; outerPlan(node) != nullptr; node = outerPlan(node)) {
        sorted = sorted || IsA(node, Sort) || IsA(node, IncrementalSort);
        if (!IsA(node, Limit) && !IsA(node, Sort) && !IsA(node, IncrementalSort) && !IsA(node, BitmapHeapScan))
            return Reach::whole_table; // a join or worse: not a shape that chunks can rely on
    }
    if (IsA(node, IndexScan) || IsA(node, IndexOnlyScan))
        return sorted ? Reach::index : Reach::ordered_index;
    if (IsA(node, BitmapIndexScan) || IsA(node, BitmapHeapScan))
        return Reach::index;
    return Reach::whole_table;
}

Expectation expect(const std::string& sql, const pg::Parameters& parameters)
{
    const pg::Plan plan(sql, parameters.types(), CURSOR_OPT_CUSTOM_PLAN);
    return pg_call([&] {
        auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan.get())));
        CachedPlan* cached = GetCachedPlan(source, pg::pg_parameter_list(parameters), CurrentResourceOwner, nullptr);
        const ::Plan* tree = linitial_node(PlannedStmt, cached->stmt_list)->planTree;
        const Expectation expectation{reach_of(tree), tree->plan_rows};
        ReleaseCachedPlan(cached, CurrentResourceOwner);
        return expectation;
    });
}

std::string chunk_sql(const Eligibility& eligibility, const std::string& name, bool first)
{
    const std::string age = concat("target.", *eligibility.age_column());
    const std::string after = first ? "" : concat(" AND ", age, " OPERATOR(pg_catalog.>) $1");
    return concat("SELECT target.ctid, ", age, " FROM ONLY ", name, " AS target WHERE ",
                  eligibility.test(first ? 1 : 2), after, " ORDER BY ", age, " FETCH FIRST ", chunk_rows,
                  " ROWS WITH TIES");
}

} // namespace

LeafPlan plan_leaf(const Eligibility& eligibility, Oid leaf)
{
    const LeafPlan by_blocks{leaf, Strategy::block, block_count(leaf)};
    if (!eligibility.age_column())
        return by_blocks;
    const std::string name = pg::relation_name(leaf);
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    pg::Spi spi;
    const std::string all = concat("SELECT target.ctid FROM ONLY ", name, " AS target WHERE ", eligibility.test(1));
    const Expectation expected = expect(all, parameters);
    if (expected.reach == Reach::whole_table ||
        expect(chunk_sql(eligibility, name, true), parameters).reach != Reach::ordered_index)
        return by_blocks;
    return {leaf, Strategy::index, std::max<std::int64_t>(1, static_cast<std::int64_t>(expected.rows))};
}

std::vector<LeafPlan> plan_leaves(const Eligibility& eligibility, std::span<const Oid> leaves)
{
    std::vector<LeafPlan> plans;
    for (const Oid leaf : leaves)
        plans.push_back(plan_leaf(eligibility, leaf));
    return plans;
}

std::string strategy_name(bool partitions, std::span<const LeafPlan> plans)
{
    const auto uses = [&](Strategy strategy) {
        return std::any_of(plans.begin(), plans.end(), [=](const LeafPlan& plan) { return plan.strategy == strategy; });
    };
    std::string name = partitions ? "partition" : "";
    const auto add = [&](const char* what) { name += concat(name.empty() ? "" : ", ", what); };
    if (uses(Strategy::block))
        add("block");
    if (uses(Strategy::index))
        add("index");
    return name.empty() ? "block" : name; // nothing to do
}

IndexChunks::IndexChunks(const Eligibility& eligibility, Oid leaf) : eligibility_(eligibility), leaf_(leaf) {}

std::optional<RowIds> IndexChunks::next()
{
    const std::string sql = chunk_sql(eligibility_, pg::relation_name(leaf_), !started_);
    pg::Parameters parameters;
    if (started_)
        parameters.value(eligibility_.age_type(), last_key_);
    eligibility_.add_parameters(parameters);
    pg::Spi spi;
    if (expect(sql, parameters).reach != Reach::ordered_index)
        return std::nullopt;
    const pg::Plan plan(sql, parameters.types(), CURSOR_OPT_CUSTOM_PLAN);
    RowIdCollector collector(chunk_capacity);
    const std::uint64_t rows = spi.stream(plan, parameters, collector);
    if (collector.overflowed())
        return std::nullopt;
    if (rows == 0)
        return RowIds{};
    started_ = true;
    last_key_ = collector.last_key();
    if (!pg_call([this] { return get_typbyval(eligibility_.age_type()); })) {
        std::copy_n(DatumGetPointer(last_key_), last_bytes_.size(), last_bytes_.data());
        last_key_ = PointerGetDatum(last_bytes_.data());
    }
    return collector.take_sorted();
}

} // namespace pgcleanup
