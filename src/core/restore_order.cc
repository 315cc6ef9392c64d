#include "core/restore_order.h"

#include <algorithm>
#include <limits>

namespace pgcleanup::core {

namespace {

// Tarjan's algorithm: a component is complete when everything that it reaches is, so components come out in the order
// that is wanted.
class Components {
public:
    Components(std::size_t rows, const std::vector<std::pair<std::size_t, std::size_t>>& needs)
        : first_(rows + 1), number_(rows, unseen), low_(rows), on_stack_(rows)
    {
        for (const auto& [row, other] : needs)
            ++first_[row + 1];
        for (std::size_t row = 0; row < rows; ++row)
            first_[row + 1] += first_[row];
        needed_.resize(needs.size());
        std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
        for (const auto& [row, other] : needs)
            needed_[next[row]++] = other;
    }

    std::vector<std::vector<std::size_t>> take()
    {
        for (std::size_t row = 0; row < number_.size(); ++row) {
            if (number_[row] == unseen)
                visit(row);
        }
        return std::move(groups_);
    }

private:
    static constexpr std::size_t unseen = std::numeric_limits<std::size_t>::max();

    struct Step {
        std::size_t row;
        std::size_t next; // index into needed_
    };

    void enter(std::size_t row)
    {
        number_[row] = low_[row] = visited_++;
        stack_.push_back(row);
        on_stack_[row] = true;
        path_.push_back({row, first_[row]});
    }

    void visit(std::size_t start)
    {
        enter(start);
        while (!path_.empty()) {
            Step& step = path_.back();
            if (step.next == first_[step.row + 1]) {
                leave(step.row);
                continue;
            }
            const std::size_t other = needed_[step.next++];
            if (number_[other] == unseen)
                enter(other); // invalidates `step`
            else if (on_stack_[other])
                low_[step.row] = std::min(low_[step.row], number_[other]);
        }
    }

    void leave(std::size_t row)
    {
        path_.pop_back();
        if (!path_.empty())
            low_[path_.back().row] = std::min(low_[path_.back().row], low_[row]);
        if (low_[row] != number_[row])
            return;
        std::vector<std::size_t> group;
        std::size_t member = unseen;
        while (member != row) {
            member = stack_.back();
            stack_.pop_back();
            on_stack_[member] = false;
            group.push_back(member);
        }
        std::sort(group.begin(), group.end());
        groups_.push_back(std::move(group));
    }

    std::vector<std::size_t> first_;  // of each row in needed_
    std::vector<std::size_t> needed_; // what each row needs, one row after the other
    std::vector<std::size_t> number_;
    std::vector<std::size_t> low_;
    std::vector<bool> on_stack_;
    std::vector<std::size_t> stack_;
    std::vector<Step> path_;
    std::size_t visited_ = 0;
    std::vector<std::vector<std::size_t>> groups_;
};

} // namespace

std::vector<std::vector<std::size_t>> restore_order(std::size_t rows,
                                                    const std::vector<std::pair<std::size_t, std::size_t>>& needs)
{
    return Components(rows, needs).take();
}

} // namespace pgcleanup::core
