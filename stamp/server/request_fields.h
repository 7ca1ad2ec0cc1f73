#pragma once
// Typed access to the members of a request's JSON body; every mistake becomes an ApiError that
// names the member.
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stamp/io/config_reader.h"
#include "stamp/server/api_error.h"

namespace stamp {

/// Strict JSON (see JsonBuilder for limits), whole numbers as integers; throws ApiError.
Json parse_request(std::string_view body);

/// View of an object, which must outlive it. A member that is null counts as absent.
class RequestFields {
 public:
  /// `path` names the object in messages: "messages[0]", empty for the whole request. Throws
  /// ApiError when it is no object or has members that are not `known`.
  RequestFields(const Json& object, std::string path, std::initializer_list<const char*> known);

  const Json* find(const std::string& key) const { return reader_->find(key); }
  std::optional<int64_t> integer(const std::string& key, int64_t lowest, int64_t highest) const;
  std::optional<double> number(const std::string& key, double lowest, double highest) const;
  std::optional<bool> boolean(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;
  /// One of `values`.
  std::optional<std::string> choice(const std::string& key,
                                    std::initializer_list<const char*> values) const;
  /// A string or a list of at most `most` strings, none of them empty; absent: none.
  std::vector<std::string> texts(const std::string& key, size_t most) const;
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const;
  [[noreturn]] void missing(const std::string& key) const;

 private:
  template <class Get>
  auto guarded(const std::string& key, Get&& get) const;
  std::string name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  std::string path_;
  std::optional<ConfigReader> reader_;
};

}  // namespace stamp
