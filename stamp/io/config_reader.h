#pragma once
// Typed access to the keys of a JSON object; every complaint names file, key and value.
#include <optional>
#include <string>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/io/json.h"

namespace stamp {

/// View of a JSON object, which must outlive it. A key that is null counts as absent. All members
/// throw std::runtime_error when a value has another type or lies outside its range.
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string where);

  /// File, and path of keys to this object.
  const std::string& where() const { return where_; }
  /// Null when the key is absent.
  const Json* find(const std::string& key) const;
  std::optional<int64_t> integer(const std::string& key, int64_t lowest, int64_t highest) const;
  std::optional<double> number(const std::string& key, double lowest, double highest) const;
  std::optional<bool> boolean(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;
  /// An integer or a list of integers, each in [lowest, highest].
  std::optional<std::vector<int64_t>> integers(const std::string& key, int64_t lowest,
                                               int64_t highest) const;
  std::optional<ConfigReader> object(const std::string& key) const;

  template <class T>
  T required(std::optional<T> value, const std::string& key) const {
    if (!value) throw_runtime("{}: '{}' is missing", where_, key);
    return *std::move(value);
  }
  /// Throws "WHERE: 'KEY' is VALUE, EXPECTED".
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const;

 private:
  const Json* object_;
  std::string where_;
};

}  // namespace stamp
