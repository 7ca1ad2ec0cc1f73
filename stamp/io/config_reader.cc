#include "stamp/io/config_reader.h"

namespace stamp {

ConfigReader::ConfigReader(const Json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) throw_runtime("{}: expected a JSON object", where_);
}

const Json* ConfigReader::find(const std::string& key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<int64_t> ConfigReader::integer(const std::string& key, int64_t lowest,
                                             int64_t highest) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  // An unsigned value above the range of int64_t turns negative here, so test that type first.
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() || value->get<uint64_t>() <= uint64_t{INT64_MAX});
  if (!fits || value->get<int64_t>() < lowest || value->get<int64_t>() > highest)
    reject(key, fmt::format("expected an integer in [{}, {}]", lowest, highest));
  return value->get<int64_t>();
}

std::optional<double> ConfigReader::number(const std::string& key, double lowest,
                                           double highest) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || value->get<double>() < lowest || value->get<double>() > highest)
    reject(key, fmt::format("expected a number in [{}, {}]", lowest, highest));
  return value->get<double>();
}

std::optional<bool> ConfigReader::boolean(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) reject(key, "expected true or false");
  return value->get<bool>();
}

std::optional<std::string> ConfigReader::text(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) reject(key, "expected a string");
  return value->get<std::string>();
}

std::optional<std::vector<int64_t>> ConfigReader::integers(const std::string& key, int64_t lowest,
                                                           int64_t highest) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) return std::vector{*integer(key, lowest, highest)};
  std::vector<int64_t> result;
  for (const Json& element : *value) {
    const Json wrapped = {{key, element}};
    const auto number = ConfigReader(wrapped, where_).integer(key, lowest, highest);
    if (!number) reject(key, "expected a list of integers");
    result.push_back(*number);
  }
  return result;
}

std::optional<ConfigReader> ConfigReader::object(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) reject(key, "expected an object");
  return ConfigReader(*value, where_ + ": " + key);
}

void ConfigReader::reject(const std::string& key, const std::string& expected) const {
  const Json* value = find(key);
  const std::string shown = value == nullptr ? "absent" : value->dump().substr(0, 200);
  throw_runtime("{}: '{}' is {}, {}", where_, key, shown, expected);
}

}  // namespace stamp
