#include "stamp/server/request_fields.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "stamp/io/json_builder.h"

namespace stamp {
namespace {

/// To JSON 2.0 is the integer 2, and some clients write it so.
void make_integers(Json& json) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (json.is_structured())
    for (Json& item : json) make_integers(item);
  else if (json.is_number_float())
    if (const double value = json.get<double>();
        std::abs(value) <= kExact && value == std::floor(value))
      json = static_cast<int64_t>(value);
}

}  // namespace

Json parse_request(std::string_view body) {
  try {
    JsonBuilder builder("request");
    Json::sax_parse(body, &builder);
    Json json = builder.take();
    make_integers(json);
    return json;
  } catch (const std::bad_alloc&) {  // is not the client's fault
    throw;
  } catch (const std::exception& error) {
    throw ApiError(400, error.what(), "invalid_json");
  }
}

RequestFields::RequestFields(const Json& object, std::string path,
                             std::initializer_list<const char*> known)
    : path_(std::move(path)) {
  if (!object.is_object())
    throw ApiError(400,
                   fmt::format("{}: expected a JSON object", path_.empty() ? "request" : path_), "",
                   path_);
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw ApiError(400,
                     fmt::format("'{}' is not supported here, expected members among {}", name(key),
                                 fmt::join(known, ", ")),
                     "unknown_parameter", name(key));
  reader_.emplace(object, path_.empty() ? "request" : path_);
}

template <class Get>
auto RequestFields::guarded(const std::string& key, Get&& get) const {
  try {
    return get();
  } catch (const std::runtime_error& error) {
    throw ApiError(400, error.what(), "invalid_value", name(key));
  }
}

std::optional<int64_t> RequestFields::integer(const std::string& key, int64_t lowest,
                                              int64_t highest) const {
  return guarded(key, [&] { return reader_->integer(key, lowest, highest); });
}
std::optional<double> RequestFields::number(const std::string& key, double lowest,
                                            double highest) const {
  return guarded(key, [&] { return reader_->number(key, lowest, highest); });
}
std::optional<bool> RequestFields::boolean(const std::string& key) const {
  return guarded(key, [&] { return reader_->boolean(key); });
}
std::optional<std::string> RequestFields::text(const std::string& key) const {
  return guarded(key, [&] { return reader_->text(key); });
}

std::optional<std::string> RequestFields::choice(const std::string& key,
                                                 std::initializer_list<const char*> values) const {
  const auto value = text(key);
  if (value && std::find(values.begin(), values.end(), *value) == values.end())
    reject(key, fmt::format("expected one of {}", fmt::join(values, ", ")));
  return value;
}

std::vector<std::string> RequestFields::texts(const std::string& key, size_t most) const {
  const Json* const value = find(key);
  if (value == nullptr) return {};
  const std::string expected =
      fmt::format("expected a string or at most {} strings, none of them empty", most);
  const auto is_text = [](const Json& item) { return item.is_string() && item != ""; };
  if (is_text(*value)) return {value->get<std::string>()};
  if (!value->is_array() || value->size() > most ||
      !std::all_of(value->begin(), value->end(), is_text))
    reject(key, expected);
  return value->get<std::vector<std::string>>();
}

void RequestFields::reject(const std::string& key, const std::string& expected) const {
  throw ApiError(400, fmt::format("'{}': {}", name(key), expected), "invalid_value", name(key));
}

void RequestFields::missing(const std::string& key) const {
  throw ApiError(400, fmt::format("'{}' is missing", name(key)), "missing_parameter", name(key));
}

}  // namespace stamp
