#include "core/uuid7.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace pgcleanup::core {

namespace {

constexpr std::size_t time_bytes = 6;
constexpr unsigned bits_per_byte = 8;
constexpr std::int64_t latest_time = (std::int64_t{1} << (time_bytes * bits_per_byte)) - 1;
constexpr std::uint64_t byte_mask = 0xFF;

// RFC 9562, section 4: the upper half of byte 6 is the version, the upper two bits of byte 8 are the variant.
constexpr std::size_t version_byte = 6;
constexpr std::uint8_t version_mask = 0xF0;
constexpr std::uint8_t version_7 = 0x70;
constexpr std::size_t variant_byte = 8;
constexpr std::uint8_t variant_mask = 0xC0;
constexpr std::uint8_t variant_rfc = 0x80;

constexpr unsigned bits_per_digit = 4;
constexpr std::uint8_t digit_mask = 0x0F;
constexpr std::size_t text_length = 36;

bool dash_before(std::size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

} // namespace

Uuid uuid7_lower_bound(std::int64_t unix_milliseconds)
{
    auto rest = static_cast<std::uint64_t>(std::clamp<std::int64_t>(unix_milliseconds, 0, latest_time));
    Uuid uuid{};
    for (std::size_t byte = time_bytes; byte > 0; --byte) {
        uuid.at(byte - 1) = static_cast<std::uint8_t>(rest & byte_mask);
        rest >>= bits_per_byte;
    }
    uuid.at(version_byte) = version_7;
    uuid.at(variant_byte) = variant_rfc;
    return uuid;
}

std::string uuid7_lower_bound_text(std::int64_t unix_milliseconds)
{
    constexpr std::string_view digits = "0123456789abcdef";
    const Uuid uuid = uuid7_lower_bound(unix_milliseconds);
    std::string text;
    text.reserve(text_length);
    for (std::size_t byte = 0; byte < uuid.size(); ++byte) {
        if (dash_before(byte)) {
            text += '-';
        }
        text += digits.at(uuid.at(byte) >> bits_per_digit);
        text += digits.at(uuid.at(byte) & digit_mask);
    }
    return text;
}

std::optional<std::int64_t> uuid7_time(const Uuid& uuid)
{
    if ((uuid.at(version_byte) & version_mask) != version_7 || (uuid.at(variant_byte) & variant_mask) != variant_rfc) {
        return std::nullopt;
    }
    std::uint64_t time = 0;
    for (std::size_t byte = 0; byte < time_bytes; ++byte) {
        time = (time << bits_per_byte) | uuid.at(byte);
    }
    return static_cast<std::int64_t>(time);
}

} // namespace pgcleanup::core
