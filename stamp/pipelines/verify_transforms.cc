// Sequence transforms against a file of outputs keyed "dct_<n>", "haar<levels>_<n>", "wht_seq_<n>",
// with inputs "x_<n>"; "wht_nat_<n>" (Sylvester order) checks the feature transform.
#include <charconv>
#include <optional>
#include <set>

#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"
#include "stamp/pipelines/verify_checks.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

constexpr double kTolerance = 1e-5;
constexpr std::string_view kInputs[] = {"x_", "x2_", "filters_", "wht_seq_order_"};
/// Families of this build, with the beginning of their keys; the numbers that follow are
/// [levels_]n.
struct Family {
  std::string_view name, key;
  bool has_levels;
};
constexpr Family kFamilies[] = {{"dct", "dct_", false},
                                {"haar", "haar", true},
                                {"wht", "wht_seq_", false},
                                {"wht_nat", "wht_nat_", false}};

struct Key {
  std::string_view family;
  int levels = 0;
  int64_t tokens = 0;
};

template <class Int>
bool take_number(std::string_view& text, Int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc() && value >= 0;
}

std::optional<Key> parse_key(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.key)) continue;
    std::string_view rest = name.substr(family.key.size());
    Key key{family.name};
    if (family.has_levels) {
      if (!take_number(rest, key.levels) || !rest.starts_with('_')) continue;
      rest.remove_prefix(1);
    }
    if (take_number(rest, key.tokens) && rest.empty()) return key;
  }
  return std::nullopt;
}

bool is_input(std::string_view name) {
  for (std::string_view prefix : kInputs) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

/// Family of a key this build does not know: "haar2d1_8x8_cA" -> "haar2d", "dwt_db2_8" -> "dwt".
std::string unknown_family(const std::string& name) {
  std::string family = name.substr(0, name.find('_'));
  for (const Family& known : kFamilies) {
    if (family == known.name) return name.substr(0, name.rfind('_'));
  }
  return family.substr(0, family.find_last_not_of("0123456789") + 1);
}

Matrix transposed(const Matrix& m) {
  Matrix result(m.cols(), m.rows());
  for (int64_t i = 0; i < m.rows(); ++i)
    for (int64_t j = 0; j < m.cols(); ++j) result(j, i) = m(i, j);
  return result;
}

/// The feature transform acts on rows of features, the reference on columns.
void hadamard_columns(Matrix& x) {
  Matrix rows = transposed(x);
  apply_hadamard(rows.view(), plan_hadamard(rows.cols()));
  x = transposed(rows);
}

void apply_family(const Key& key, Matrix& x, bool inverse) {
  if (key.family == "wht_nat") return hadamard_columns(x);  // Sylvester's matrix is its own inverse
  const SequenceTransform& transform = sequence_transform(key.family);
  (inverse ? transform.inverse : transform.forward)(x.view(), key.levels);
}

void check_transform(const Safetensors& file, const std::string& name, const Key& key,
                     VerifyCase& result) {
  const std::string input = "x_" + std::to_string(key.tokens);
  const Matrix original = to_matrix(file.at(input)), want = to_matrix(file.at(name));
  if (original.size() == 0) throw_runtime("{}: expected rows and columns, got none", input);
  const auto values = [](const Matrix& m) {
    return std::span<const float>(m.data(), static_cast<size_t>(m.size()));
  };
  Matrix x = original;
  apply_family(key, x, false);
  check_close(result, name, values(x), values(want));
  apply_family(key, x, true);
  check_close(result, name + " inverted", values(x), values(original));
}

}  // namespace

std::vector<std::string> transform_families(const std::filesystem::path& path) {
  const Safetensors file = Safetensors::open(path);
  std::set<std::string> families;
  for (const auto& [name, tensor] : file.tensors()) {
    if (is_input(name)) continue;
    const std::optional<Key> key = parse_key(name);
    families.insert(key ? std::string(key->family) : unknown_family(name));
  }
  if (families.empty()) throw_runtime("{}: holds no transforms", path.string());
  return {families.begin(), families.end()};
}

void verify_transform(const std::filesystem::path& path, const std::string& family,
                      VerifyCase& result) {
  const Safetensors file = Safetensors::open(path);
  result.tolerance = kTolerance;
  bool found = false;
  for (const auto& [name, tensor] : file.tensors()) {
    const std::optional<Key> key = parse_key(name);
    if (is_input(name) || !key || key->family != family) continue;
    check_transform(file, name, *key, result);
    found = true;
  }
  if (found) return;
  result.status = VerifyCase::Status::kUnsupported;
  result.message = "this build has no such transform";
}

}  // namespace stamp
