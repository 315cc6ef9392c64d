#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace pgcleanup::core {

// Finds the rows that make a batch fail, by halving: a state machine over the row indices [0, rows).
//
//     RowBisection work(rows, max_failures);
//     while (const auto range = work.next())
//         try_in_a_transaction(*range) ? work.succeeded() : work.failed();
//
// Ranges come in ascending order and never overlap once they succeeded, so every row is done at most once.
// Memory is bounded by log2(rows) ranges and `max_failures` indices.
class RowBisection {
public:
    // Half-open: [begin, end), never empty.
    struct Range {
        std::size_t begin = 0;
        std::size_t end = 0;

        [[nodiscard]] std::size_t size() const { return end - begin; }
        bool operator==(const Range&) const = default;
    };

    // Begins with all rows as one range. A `max_failures` of zero counts as one. A caller that has just seen the whole
    // batch fail says so by calling failed() at once, instead of trying the same again.
    RowBisection(std::size_t rows, std::size_t max_failures);

    // The range to try now: the same one until succeeded() or failed() is called.
    // Nothing when all rows are decided, or when gave_up().
    [[nodiscard]] std::optional<Range> next() const;

    // The range of next() was done. Without effect when there is none.
    void succeeded();

    // The range of next() was undone: it is halved, or, when it is a single row, that row is isolated and never tried
    // again. Without effect when there is none.
    void failed();

    // Indices of the isolated rows, ascending.
    [[nodiscard]] const std::vector<std::size_t>& failed_rows() const { return failed_rows_; }

    // True when `max_failures` rows are isolated and other rows were left untouched because of it.
    [[nodiscard]] bool gave_up() const { return capped() && !stack_.empty(); }

    // The ranges that are not decided yet, ascending.
    [[nodiscard]] std::vector<Range> remaining() const;

private:
    [[nodiscard]] bool capped() const { return failed_rows_.size() >= max_failures_; }

    std::size_t max_failures_;
    std::vector<Range> stack_; // the next range is the last element
    std::vector<std::size_t> failed_rows_;
};

} // namespace pgcleanup::core
