#include "core/row_set.h"

#include <algorithm>

namespace pgcleanup::core {

std::size_t hash_of(const RowPlace& row)
{
    // The finalizer of splitmix64: neighbours end up far from each other.
    std::uint64_t mixed =
        (static_cast<std::uint64_t>(row.table) << 32U) ^ (static_cast<std::uint64_t>(row.block) << 11U) ^ row.offset;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
}

RowSet::Bit RowSet::bit_of(const RowPlace& row)
{
    const auto part = static_cast<std::uint16_t>(row.offset / rows_of_part);
    const unsigned within = row.offset % rows_of_part;
    return {{row.table, row.block, part}, within / 64, std::uint64_t{1} << (within % 64)};
}

bool RowSet::add(const RowPlace& row)
{
    const Bit bit = bit_of(row);
    std::uint64_t& word = parts_[bit.part].at(bit.word);
    if ((word & bit.mask) != 0) {
        return false;
    }
    word |= bit.mask;
    ++counts_[row.table];
    ++size_;
    return true;
}

std::vector<std::uint32_t> RowSet::blocks(std::uint32_t table) const
{
    std::vector<std::uint32_t> blocks;
    for (const auto& [place, part] : parts_) {
        if (place.table == table) {
            blocks.push_back(place.block);
        }
    }
    std::sort(blocks.begin(), blocks.end());
    blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
    return blocks;
}

std::vector<RowPlace> RowSet::rows(std::uint32_t table, std::uint32_t block) const
{
    std::vector<RowPlace> rows;
    for (std::uint16_t number = 0; number * rows_of_part <= largest_offset; ++number) {
        const auto found = parts_.find({table, block, number});
        if (found == parts_.end()) {
            continue;
        }
        for (std::uint16_t within = 0; within < rows_of_part; ++within) {
            if ((found->second.at(within / 64U) >> (within % 64U) & 1U) != 0) {
                rows.push_back({table, block, static_cast<std::uint16_t>(number * rows_of_part + within)});
            }
        }
    }
    return rows;
}

bool RowSet::contains(const RowPlace& row) const
{
    const Bit bit = bit_of(row);
    const auto found = parts_.find(bit.part);
    return found != parts_.end() && (found->second.at(bit.word) & bit.mask) != 0;
}

std::size_t RowSet::count(std::uint32_t table) const
{
    const auto found = counts_.find(table);
    return found == counts_.end() ? 0 : found->second;
}

} // namespace pgcleanup::core
