#pragma once
// The parts that verify() is made of: comparisons that fill a VerifyCase, and one function per kind
// of case. These functions throw what goes wrong; verify() turns an exception into a failed case.
#include <span>

#include "stamp/core/tensor.h"
#include "stamp/pipelines/verify.h"

namespace stamp {

/// Relative error max|got - want| / max|want| against result.tolerance; keeps the worst in `result`
/// and fails it (with a message for the first offender) when it is too large, not finite, or the
/// sizes differ.
void check_close(VerifyCase& result, const std::string& tensor, std::span<const float> got,
                 std::span<const float> want);
/// Exact equality; fails `result` with the first place that differs.
void check_equal(VerifyCase& result, const std::string& tensor, std::span<const int32_t> got,
                 std::span<const int32_t> want);
void check_equal(VerifyCase& result, const std::string& what, const std::string& got,
                 const std::string& want);
/// All elements of a floating-point or integer tensor, as fp32.
std::vector<float> read_values(const TensorView& tensor);
/// The first message is kept, later ones are dropped.
void fail(VerifyCase& result, const std::string& message);

/// DIR/ckpt is a decoder language model, DIR/oracle.safetensors holds input_ids and logits and,
/// checked where present, hidden states, generated ids and so on (tools/make_oracles.py).
void verify_llm(const std::filesystem::path& directory, VerifyCase& result);
/// DIR/ckpt is a tokenizer, DIR/cases.json holds strings and ids.
void verify_tokenizer(const std::filesystem::path& directory, VerifyCase& result);
/// DIR/ckpt holds a scheduler_config.json; the outputs of a run are in DIR/oracle.safetensors.
void verify_scheduler(const std::filesystem::path& directory, VerifyCase& result);
/// DIR/ckpt is a text encoder.
void verify_encoder(const std::filesystem::path& directory, VerifyCase& result);
/// DIR/ckpt is a diffusion transformer or an autoencoder.
void verify_diffusion(const std::filesystem::path& directory, VerifyCase& result);
/// DIR/ckpt is a text-to-image pipeline.
void verify_pipeline(const std::filesystem::path& directory, VerifyCase& result);
/// Families of outputs in a file of transforms ("dct", "haar", "wht", "haar2d", ...), sorted.
std::vector<std::string> transform_families(const std::filesystem::path& file);
/// All outputs of one family.
void verify_transform(const std::filesystem::path& file, const std::string& family,
                      VerifyCase& result);

}  // namespace stamp
