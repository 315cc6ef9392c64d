#include "extension/family_forecast.h"

#include "pg/text.h"
#include "pg/transaction.h"

#include <set>

namespace pgcleanup {

using core::RowPlace;
using core::RowSet;
using pg::concat;

namespace {

// Eligible rows that are gathered at a time; with what hangs on them they must fit in memory.
constexpr std::size_t roots_of_unit = 5'000;
// A chain of rows that free each other goes one link a pass.
constexpr int most_passes = 64;

// Collects row ids of one table while the executor runs, where nothing may throw.
class RowSetCollector : public pg::RowReceiver {
public:
    RowSetCollector(RowSet& rows, Oid table) : rows_(rows), table_(table) {}
    bool pg_row(TupleTableSlot* slot) override
    {
        bool is_null = false;
        const auto* id = reinterpret_cast<ItemPointer>(DatumGetPointer(slot_getattr(slot, 1, &is_null)));
        try {
            rows_.add(place_of(table_, *id));
        } catch (const std::bad_alloc&) {
            is_out_of_memory_ = true;
            return false;
        }
        return true;
    }
    void check() const
    {
        if (is_out_of_memory_)
            throw std::bad_alloc();
    }

private:
    RowSet& rows_;
    Oid table_;
    bool is_out_of_memory_ = false;
};

void collect_eligible(pg::Spi& spi, const Eligibility& eligibility, Oid leaf, RowSet& rows)
{
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    const pg::Plan plan(
        concat("SELECT target.ctid FROM ONLY ", pg::relation_name(leaf), " AS target WHERE ", eligibility.test(1)),
        parameters.types());
    RowSetCollector collector(rows, leaf);
    spi.stream(plan, parameters, collector, pg::Access::read_only);
    collector.check();
}

// The ties of one gathering.
class Ties : public LinkWatch {
public:
    struct Tie {
        std::size_t link;
        Node node;
        RowPlace row;
    };
    explicit Ties(ForecastDetail detail) : detail_(detail) {}
    void linked(std::size_t link, Node node, const RowPlace& row) override { ties_.push_back({link, node, row}); }
    void blocked(std::size_t link, Node node) override { blocked_.emplace_back(link, node); }
    bool wants_every_blocker() const override { return detail_ == ForecastDetail::links; }

    void clear()
    {
        ties_.clear();
        blocked_.clear();
    }
    const std::vector<Tie>& all() const { return ties_; }
    const std::vector<std::pair<std::size_t, Node>>& blocked() const { return blocked_; }

private:
    ForecastDetail detail_;
    std::vector<Tie> ties_;
    std::vector<std::pair<std::size_t, Node>> blocked_;
};

} // namespace

class FamilyForecast::Work {
public:
    Work(pg::Spi& spi, const Eligibility& eligibility, const FamilyLinks& links, std::span<const Oid> leaves,
         ForecastDetail detail)
        : spi_(spi), links_(links), leaves_(leaves), detail_(detail),
          statements_(eligibility, links, pg::Access::read_only), ties_(detail),
          gatherer_(statements_, GatherMode::look, &gone_, nullptr, &ties_), along_(links.all().size()),
          changed_by_(links.all().size()), blockers_(links.all().size())
    {
        for (const Oid leaf : leaves)
            collect_eligible(spi, eligibility, leaf, waiting_);
    }

    void run()
    {
        for (int pass = 0; pass < most_passes && !waiting_.empty(); ++pass) {
            const std::size_t gone_before = gone_.size();
            const std::size_t units = run_pass();
            // What is gathered at once is decided at once, but for rows that stay until what references them is gone.
            if ((units < 2 && !frees_rows_) || gone_.size() == gone_before)
                break;
        }
    }

    std::int64_t blocked() const { return static_cast<std::int64_t>(waiting_.size()); }

    std::map<std::string, std::int64_t> blocked_by() const
    {
        std::map<std::string, std::int64_t> named;
        for (const auto& [link, rows] : blocked_by_)
            named[link == no_link ? "references to rows that would go along by CASCADE" : name_of(link)] += rows;
        return named;
    }

    std::int64_t dependent() const
    {
        return static_cast<std::int64_t>(gone_.size() - roots_gone_.size() + staying(changed_));
    }

    RowsOfLinks rows_of_links() const
    {
        RowsOfLinks rows;
        for (std::size_t link = 0; link < links_.all().size(); ++link) {
            switch (links_.all()[link].kind) {
            case LinkKind::must:
            case LinkKind::may:
                rows.push_back(static_cast<std::int64_t>(taken_along(along_[link])));
                break;
            case LinkKind::change:
                rows.push_back(static_cast<std::int64_t>(staying(changed_by_[link])));
                break;
            case LinkKind::blocker:
                rows.push_back(static_cast<std::int64_t>(staying(blockers_[link])));
            }
        }
        return rows;
    }

private:
    static constexpr std::size_t no_link = SIZE_MAX;

    std::size_t run_pass()
    {
        const RowSet given = std::exchange(waiting_, {});
        blocked_by_.clear();
        blockers_.assign(links_.all().size(), {});
        std::size_t units = 0;
        for (const Oid leaf : leaves_) {
            RowIds roots;
            for (const std::uint32_t block : given.blocks(leaf)) {
                for (const RowPlace& row : given.rows(leaf, block))
                    if (!gone_.contains(row))
                        roots.push_back(row_id_of(row));
                if (roots.size() >= roots_of_unit)
                    units += run_unit(leaf, std::exchange(roots, {}));
            }
            units += run_unit(leaf, roots);
        }
        return units;
    }

    std::size_t run_unit(Oid leaf, const RowIds& roots)
    {
        pg::check_for_interrupts();
        if (roots.empty())
            return 0;
        try {
            ties_.clear();
            take(gatherer_.gather(spi_, leaf, roots));
            return 1;
        } catch (const FamilyTooLarge&) { // in halves, below
        }
        const auto middle = roots.begin() + static_cast<std::ptrdiff_t>(roots.size() / 2);
        return run_unit(leaf, RowIds(roots.begin(), middle)) + run_unit(leaf, RowIds(middle, roots.end()));
    }

    void take(const Family& family)
    {
        for (Family::Node node = 0; node < family.graph.size(); ++node) {
            const RowPlace& row = family.graph.row(node);
            if (family.goes(node) && gone_.add(row) && family.is_root(node))
                roots_gone_.add(row);
            else if (!family.goes(node) && node < family.given_roots)
                waiting_.add(row);
        }
        for (const ChangedRow& change : family.changes())
            changed_.add(change.row);
        count_blocked(family);
        if (detail_ == ForecastDetail::links)
            for (const Ties::Tie& tie : ties_.all())
                count(family, tie);
    }

    void count(const Family& family, const Ties::Tie& tie)
    {
        switch (links_.all()[tie.link].kind) {
        case LinkKind::must:
        case LinkKind::may:
            if (family.goes(tie.node))
                along_[tie.link].add(tie.row);
            return;
        case LinkKind::change:
            if (family.goes(tie.node))
                changed_by_[tie.link].add(tie.row);
            return;
        case LinkKind::blocker:
            blockers_[tie.link].add(tie.row);
        }
    }

    // What keeps the rows that were asked for and stay: each link once.
    void count_blocked(const Family& family)
    {
        std::set<std::pair<Family::Node, std::size_t>> reasons;
        const auto stays = [&](Family::Node node) { return node < family.given_roots && !family.goes(node); };
        for (const auto& [link, node] : ties_.blocked())
            if (stays(node))
                reasons.emplace(node, link);
        for (const Ties::Tie& tie : ties_.all())
            if (links_.all()[tie.link].kind == LinkKind::blocker && stays(tie.node) && !gone_.contains(tie.row))
                reasons.emplace(tie.node, tie.link);
        for (Family::Node node = 0; node < family.given_roots; ++node) {
            const auto first = reasons.lower_bound({node, 0});
            if (stays(node) && (first == reasons.end() || first->first != node))
                ++blocked_by_[no_link];
        }
        for (const auto& [node, link] : reasons)
            ++blocked_by_[link];
    }

    std::string name_of(std::size_t link) const
    {
        return concat(links_.all()[link].name, " on ", pg::relation_name(links_.all()[link].to));
    }

    // Those that are gone without being due themselves: a shared row may go with a later family than the first that has
    // it.
    std::size_t taken_along(const RowSet& rows) const
    {
        std::size_t count = 0;
        for (const Oid table : touched_)
            for (const std::uint32_t block : rows.blocks(table))
                for (const RowPlace& row : rows.rows(table, block))
                    count += gone_.contains(row) && !roots_gone_.contains(row) ? 1 : 0;
        return count;
    }

    // Those that are not gone after all, by whichever family.
    std::size_t staying(const RowSet& rows) const
    {
        std::size_t count = rows.size();
        for (const Oid table : touched_)
            count -= gone_among(rows, table);
        return count;
    }

    std::size_t gone_among(const RowSet& rows, Oid table) const
    {
        if (rows.count(table) == 0 || gone_.count(table) == 0)
            return 0;
        std::size_t count = 0;
        for (const std::uint32_t block : rows.blocks(table))
            for (const RowPlace& row : rows.rows(table, block))
                count += gone_.contains(row) ? 1 : 0;
        return count;
    }

    pg::Spi& spi_;
    const FamilyLinks& links_;
    std::span<const Oid> leaves_;
    ForecastDetail detail_;
    FamilyStatements statements_;
    Ties ties_;
    RowSet gone_;
    FamilyGatherer gatherer_;
    const std::vector<Oid> touched_ = links_.touched_leaves();
    const bool frees_rows_ = std::ranges::any_of(
        links_.all(), [this](const FamilyLink& link) { return link.is_absolute && links_.may_go(link.to); });
    RowSet roots_gone_;
    RowSet waiting_; // eligible rows that are left
    RowSet changed_;
    std::map<std::size_t, std::int64_t> blocked_by_;
    std::vector<RowSet> along_;
    std::vector<RowSet> changed_by_;
    std::vector<RowSet> blockers_;
};

FamilyForecast::FamilyForecast(pg::Spi& spi, const Eligibility& eligibility, const FamilyLinks& links,
                               std::span<const Oid> leaves, ForecastDetail detail)
    : work_(std::make_unique<Work>(spi, eligibility, links, leaves, detail))
{
    work_->run();
}

FamilyForecast::~FamilyForecast() = default;

std::int64_t FamilyForecast::blocked() const
{
    return work_->blocked();
}

std::map<std::string, std::int64_t> FamilyForecast::blocked_by() const
{
    return work_->blocked_by();
}

std::int64_t FamilyForecast::dependent() const
{
    return work_->dependent();
}

RowsOfLinks FamilyForecast::rows_of_links() const
{
    return work_->rows_of_links();
}

} // namespace pgcleanup
