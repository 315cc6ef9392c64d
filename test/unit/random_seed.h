#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace pgcleanup::test {

// A new seed for each run of a randomised test, printed, or the one in PG_CLEANUP_TEST_SEED to repeat a failure.
inline std::uint64_t random_seed()
{
    const char* given = std::getenv("PG_CLEANUP_TEST_SEED"); // NOLINT(concurrency-mt-unsafe): tests have one thread
    const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
    std::cout << "seed: PG_CLEANUP_TEST_SEED=" << seed << '\n';
    return seed;
}

// A number from [low, high].
template <class Integer>
Integer pick(std::mt19937_64& random, Integer low, Integer high)
{
    return std::uniform_int_distribution<Integer>(low, high)(random);
}

} // namespace pgcleanup::test
