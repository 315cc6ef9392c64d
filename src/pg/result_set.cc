#include "pg/result_set.h"

namespace pgcleanup::pg {

ResultSet::ResultSet(FunctionCallInfo fcinfo) : info_(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo))
{
    input_ = pg_call([&] {
        InitMaterializedSRF(fcinfo, 0);
        return TupleDescGetAttInMetadata(info_->setDesc);
    });
}

void ResultSet::row(const std::vector<Cell>& cells) const
{
    if (static_cast<int>(cells.size()) != info_->setDesc->natts)
        raise({.message = "pg_cleanup: a result row has the wrong number of columns"});
    std::vector<char*> values;
    values.reserve(cells.size());
    for (const Cell& cell : cells)
        values.push_back(cell ? const_cast<char*>(cell->c_str()) : nullptr);
    char** data = values.data();
    pg_call([&] {
        HeapTuple tuple = BuildTupleFromCStrings(input_, data);
        tuplestore_puttuple(info_->setResult, tuple);
        heap_freetuple(tuple);
    });
}

std::string text_array_cell(std::span<const std::string> elements)
{
    std::string text = "{";
    for (const std::string& element : elements) {
        if (text.size() > 1)
            text.push_back(',');
        text.push_back('"');
        for (const char character : element) {
            if (character == '"' || character == '\\')
                text.push_back('\\');
            text.push_back(character);
        }
        text.push_back('"');
    }
    return text.append("}");
}

} // namespace pgcleanup::pg
