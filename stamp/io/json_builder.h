#pragma once
// Builds a JSON value from parser events, with limits that keep hostile files harmless.
#include <cstdint>
#include <string>
#include <vector>

#include "stamp/io/json.h"

namespace stamp {

/// Throws std::runtime_error naming `where`: nesting deeper than 64, more than 2^23 values (a
/// parsed value takes far more memory than its text; the largest tokenizers hold 3 million), the
/// same key twice in one object, syntax errors.
class JsonBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit JsonBuilder(std::string where) : where_(std::move(where)) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // not part of JSON text
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override;
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override;

 private:
  Json* place(Json value);
  bool add(Json value) { return place(std::move(value)) != nullptr; }
  bool open(Json container);
  bool close();

  std::string where_;
  Json root_;
  std::vector<Json*> open_;  // the containers around the next value, outermost first
  Json* named_ = nullptr;    // where the value of the last key goes
  int64_t values_ = 0;
};

}  // namespace stamp
