// Sequence transforms against a file of outputs keyed "dct_<n>", "haar<levels>_<n>", "wht_seq_<n>",
// "dwt_<wavelet>_<n>" (one level), with inputs "x_<n>"; "wht_nat_<n>" (Sylvester order) checks the
// feature transform. The rest is in verify_grids.cc and verify_klt.cc.
#include <algorithm>
#include <set>

#include "stamp/core/error.h"
#include "stamp/pipelines/verify_transform_parts.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

constexpr std::string_view kInputs[] = {"x_", "x2_", "filters_", "wht_seq_order_", "klt_cov_"};

struct Key {
  std::string_view transform;
  int levels = 0;
  int64_t tokens = 0;
};

/// Reads "<beginning>[levels]_<n>"; `levels` < 0: they are part of the name.
std::optional<Key> parse_key(std::string_view name, std::string_view beginning,
                             std::string_view transform, int levels) {
  if (!name.starts_with(beginning)) return std::nullopt;
  name.remove_prefix(beginning.size());
  Key key{transform, levels};
  if (levels < 0 && !take_number(name, key.levels)) return std::nullopt;
  if (!name.starts_with('_')) return std::nullopt;
  name.remove_prefix(1);
  return take_number(name, key.tokens) && name.empty() ? std::optional(key) : std::nullopt;
}

void apply(const Key& key, Matrix& x, bool inverse) {
  if (key.transform.empty()) return hadamard_columns(x);  // its own inverse
  const SequenceTransform& transform = sequence_transform(key.transform);
  (inverse ? transform.inverse : transform.forward)(x.view(), key.levels);
}

void check_key(const Safetensors& file, const std::string& name, const Key& key,
               VerifyCase& result) {
  const Matrix original = input_matrix(file, "x_" + std::to_string(key.tokens));
  const Matrix want = to_matrix(file.at(name));
  Matrix x = original;
  apply(key, x, false);
  check_close(result, name, values(x), values(want));
  apply(key, x, true);
  check_close(result, name + " inverted", values(x), values(original));
}

/// A checker of the names that begin with kBeginning.
template <const std::string_view& kBeginning, const std::string_view& kTransform, int kLevels>
bool check_one(const Safetensors& file, const std::string& name, VerifyCase* result) {
  const auto key = parse_key(name, kBeginning, kTransform, kLevels);
  if (key && result) check_key(file, name, *key, *result);
  return key.has_value();
}

bool check_dwt(const Safetensors& file, const std::string& name, VerifyCase* result) {
  constexpr std::pair<std::string_view, std::string_view> kWavelets[] = {
      {"dwt_db2", "db2"},     {"dwt_db4", "db4"},       {"dwt_sym4", "sym4"},
      {"dwt_coif1", "coif1"}, {"dwt_bior2.2", "cdf53"}, {"dwt_bior4.4", "cdf97"}};
  for (const auto& [beginning, transform] : kWavelets) {
    const auto key = parse_key(name, beginning, transform, 1);
    if (key && result) check_key(file, name, *key, *result);
    if (key) return true;
  }
  return false;
}

constexpr std::string_view kDct = "dct", kHaar = "haar", kWhtSeq = "wht_seq", kWht = "wht",
                           kWhtNat = "wht_nat", kNone = "";

/// Families of this build. `check` returns false for names of other families, and checks the others
/// unless `result` is null.
struct Family {
  std::string_view name;
  bool (*check)(const Safetensors& file, const std::string& name, VerifyCase* result);
};
constexpr Family kFamilies[] = {{"dct", check_one<kDct, kDct, 0>},
                                {"haar", check_one<kHaar, kHaar, -1>},
                                {"wht", check_one<kWhtSeq, kWht, 0>},
                                {"wht_nat", check_one<kWhtNat, kNone, 0>},
                                {"dwt", check_dwt},
                                {"haar2d", check_haar2d},
                                {"klt", check_klt}};

bool is_input(std::string_view name) {
  return std::any_of(std::begin(kInputs), std::end(kInputs),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

/// "fft2_8" -> "fft"; what looks like a known family but is none of its names keeps its name.
std::string unknown_family(const std::string& name) {
  std::string family = name.substr(0, name.find('_'));
  family.resize(family.find_last_not_of("0123456789") + 1);
  for (const Family& known : kFamilies)
    if (family == known.name) return name;
  return family;
}

}  // namespace

Matrix input_matrix(const Safetensors& file, const std::string& name) {
  Matrix matrix = to_matrix(file.at(name));
  if (matrix.size() == 0) throw_runtime("{}: expected rows and columns, got none", name);
  return matrix;
}

void hadamard_columns(Matrix& x) {
  const auto transposed = [](const Matrix& m) {
    Matrix result(m.cols(), m.rows());
    for (int64_t i = 0; i < m.rows(); ++i)
      for (int64_t j = 0; j < m.cols(); ++j) result(j, i) = m(i, j);
    return result;
  };
  Matrix rows = transposed(x);
  apply_hadamard(rows.view(), plan_hadamard(rows.cols()));
  x = transposed(rows);
}

std::vector<std::string> transform_families(const std::filesystem::path& path) {
  const Safetensors file = Safetensors::open(path);
  std::set<std::string> families;
  for (const auto& [name, tensor] : file.tensors()) {
    if (is_input(name)) continue;
    const auto known =
        std::find_if(std::begin(kFamilies), std::end(kFamilies),
                     [&](const Family& family) { return family.check(file, name, nullptr); });
    families.insert(known != std::end(kFamilies) ? std::string(known->name) : unknown_family(name));
  }
  if (families.empty()) throw_runtime("{}: holds no transforms", path.string());
  return {families.begin(), families.end()};
}

void verify_transform(const std::filesystem::path& path, const std::string& family,
                      VerifyCase& result) {
  const Safetensors file = Safetensors::open(path);
  result.tolerance = kTransformTolerance;
  bool found = false;
  for (const Family& known : kFamilies) {
    if (known.name != family) continue;
    for (const auto& [name, tensor] : file.tensors())
      found |= !is_input(name) && known.check(file, name, &result);
  }
  if (found) return;
  result.status = VerifyCase::Status::kUnsupported;
  result.message = "this build has no such transform";
}

}  // namespace stamp
