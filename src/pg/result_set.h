// The rows of a set-returning function.
#pragma once

#include "pg/spi.h"

namespace pgcleanup::pg {

// Materializes rows of text cells into the function's declared composite type, each by its type's input function.
// Raises feature_not_supported where the caller accepts no set.
class ResultSet {
public:
    explicit ResultSet(FunctionCallInfo fcinfo);
    // As many cells as the result type has columns.
    void row(const std::vector<Cell>& cells) const;

private:
    ReturnSetInfo* info_;
    AttInMetadata* input_;
};

// Builds array text ("{...}") of text elements, for a cell of type text[].
std::string text_array_cell(std::span<const std::string> elements);

} // namespace pgcleanup::pg
