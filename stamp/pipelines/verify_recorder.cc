#include "stamp/pipelines/verify_recorder.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

/// "PREFIX.3.rest" -> "NAME_3_rest", "PREFIX.3" -> "NAME_3_out".
std::string oracle_name(const std::string& name) {
  for (const auto& [prefix, wanted] :
       {std::pair("layers.", "layer_"), std::pair("blocks.", "block_")}) {
    if (!name.starts_with(prefix)) continue;
    std::string rest = name.substr(std::string(prefix).size());
    if (rest.find('.') == rest.npos) rest += ".out";
    std::replace(rest.begin(), rest.end(), '.', '_');
    return wanted + rest;
  }
  return name;
}

void check_rank(const TensorView& tensor, size_t rank, int64_t sample) {
  if (tensor.shape.size() != rank || sample < 0 || sample >= tensor.shape[0])
    throw_runtime("oracle: expected sample {} of a tensor of {} dimensions, got {}", sample, rank,
                  to_string(tensor.shape));
}

}  // namespace

void Recorder::on_hidden(const std::string& name, ConstFloatView x) { add(oracle_name(name), x); }

void Recorder::add(const std::string& name, ConstFloatView x) {
  std::vector<float>& out = values_[name];
  for (int64_t i = 0; i < x.rows; ++i) out.insert(out.end(), x.row(i), x.row(i) + x.cols);
}

PixelMap read_map(const TensorView& tensor, int64_t sample) {
  check_rank(tensor, 4, sample);
  const Shape& s = tensor.shape;
  std::vector<float> values(static_cast<size_t>(s[1] * s[2] * s[3]));
  to_f32(tensor, sample * s[1] * s[2] * s[3], values);
  return from_planes(values, s[1], s[2], s[3]);
}

Matrix read_rows(const TensorView& tensor, int64_t sample) {
  check_rank(tensor, 3, sample);
  Matrix rows(tensor.shape[1], tensor.shape[2]);
  to_f32(tensor, sample * rows.size(), {rows.data(), static_cast<size_t>(rows.size())});
  return rows;
}

std::vector<uint8_t> read_mask(const TensorView& tensor, int64_t sample) {
  check_rank(tensor, 2, sample);
  const std::vector<float> all = read_values(tensor);
  const int64_t tokens = tensor.shape[1];
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < tokens; ++i)
    mask.push_back(all[static_cast<size_t>(sample * tokens + i)] != 0);
  return mask;
}

std::vector<float> pixel_major(const TensorView& tensor) {
  if (tensor.shape.size() != 4) return read_values(tensor);
  std::vector<float> values;
  for (int64_t sample = 0; sample < tensor.shape[0]; ++sample) {
    const PixelMap map = read_map(tensor, sample);
    values.insert(values.end(), map.pixels.data(), map.pixels.data() + map.pixels.size());
  }
  return values;
}

void check_recorded(const Recorder& recorder, const Safetensors& oracle, VerifyCase& result) {
  for (const auto& [name, values] : recorder.values())
    if (oracle.contains(name)) check_close(result, name, values, pixel_major(oracle.at(name)));
}

}  // namespace stamp
