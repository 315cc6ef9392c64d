#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace pgcleanup::core {

// A row of a table: the table's number (its OID), and where the row is in it.
struct RowPlace {
    std::uint32_t table = 0;
    std::uint32_t block = 0;
    std::uint16_t offset = 0;

    bool operator==(const RowPlace&) const = default;
};

[[nodiscard]] std::size_t hash_of(const RowPlace& row);

// A set of rows of any number of tables: a bitmap for each block that has one of them, so that a million rows that lie
// together need a few bytes each at most.
class RowSet {
public:
    // The largest row number in a block that fits: heap pages have at most 291 rows (of 8 kB; four times that of 32
    // kB).
    static constexpr std::uint16_t largest_offset = 1279;

    // True when it was not there yet. Offsets are 1 to largest_offset.
    bool add(const RowPlace& row);
    [[nodiscard]] bool contains(const RowPlace& row) const;
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    // How many rows of one table.
    [[nodiscard]] std::size_t count(std::uint32_t table) const;
    // The blocks of a table that have rows, in their order; and the rows of one of them, in theirs.
    [[nodiscard]] std::vector<std::uint32_t> blocks(std::uint32_t table) const;
    [[nodiscard]] std::vector<RowPlace> rows(std::uint32_t table, std::uint32_t block) const;

private:
    // 320 rows of a block: what one of 8 kB has at most.
    static constexpr std::uint16_t rows_of_part = 320;
    using Part = std::array<std::uint64_t, rows_of_part / 64>;
    struct Bit {
        RowPlace part; // its offset is the part's number
        std::size_t word = 0;
        std::uint64_t mask = 0;
    };
    static Bit bit_of(const RowPlace& row);
    struct Hash {
        std::size_t operator()(const RowPlace& row) const { return hash_of(row); }
    };

    std::unordered_map<RowPlace, Part, Hash> parts_;
    std::unordered_map<std::uint32_t, std::size_t> counts_;
    std::size_t size_ = 0;
};

} // namespace pgcleanup::core
