#include "stamp/pipelines/verify_checks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/core/error.h"

namespace stamp {

void fail(VerifyCase& result, const std::string& message) {
  if (result.status != VerifyCase::Status::kFailed) result.message = message;
  result.status = VerifyCase::Status::kFailed;
}

std::vector<float> read_values(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  if (tensor.dtype == DType::kI64)
    std::copy_n(tensor.as<int64_t>(), values.size(), values.begin());
  else if (tensor.dtype == DType::kI32)
    std::copy_n(tensor.as<int32_t>(), values.size(), values.begin());
  else if (tensor.dtype == DType::kU8)
    std::copy_n(tensor.as<uint8_t>(), values.size(), values.begin());
  else
    to_f32(tensor, 0, values);
  return values;
}

namespace {

double relative_error(std::span<const float> got, std::span<const float> want) {
  double difference = 0, scale = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(double{got[i]} - double{want[i]});
    if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, error);
    scale = std::max(scale, std::abs(double{want[i]}));
  }
  return scale > 0 ? difference / scale : difference;
}

}  // namespace

void check_close(VerifyCase& result, const std::string& tensor, std::span<const float> got,
                 std::span<const float> want) {
  if (got.size() != want.size()) {
    return fail(result,
                fmt::format("{}: expected {} values, got {}", tensor, want.size(), got.size()));
  }
  const double error = relative_error(got, want);
  if (result.worst_tensor.empty() || error > result.worst_error) {
    result.worst_error = error;
    result.worst_tensor = tensor;
  }
  if (error > result.tolerance) {
    fail(result, fmt::format("{}: relative error {:.2e}, expected at most {:.0e}", tensor, error,
                             result.tolerance));
  }
}

void check_equal(VerifyCase& result, const std::string& tensor, std::span<const int32_t> got,
                 std::span<const int32_t> want) {
  const auto [g, w] = std::mismatch(got.begin(), got.end(), want.begin(), want.end());
  if (g == got.end() && w == want.end()) return;
  const auto id = [](auto it, auto end) { return it == end ? "the end" : fmt::to_string(*it); };
  fail(result, fmt::format("{}: at {} expected {}, got {}", tensor, w - want.begin(),
                           id(w, want.end()), id(g, got.end())));
}

void check_equal(VerifyCase& result, const std::string& what, const std::string& got,
                 const std::string& want) {
  if (got == want) return;
  const auto quoted = [](const std::string& text) {
    return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  };
  fail(result, fmt::format("{}: expected {}, got {}", what, quoted(want), quoted(got)));
}

}  // namespace stamp
