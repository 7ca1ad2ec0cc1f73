#pragma once
// What a language model is made of, be it a Hugging Face directory or one GGUF file: JSON documents
// by the names that they have in directories, weights by the names that they have there.
#include <filesystem>
#include <string>

#include "stamp/io/json.h"
#include "stamp/io/tensor_store.h"

namespace stamp {

/// True when `model` has the document `name` ("tokenizer_config.json"): as a file of a directory,
/// or because a GGUF file says the same ("config.json", "tokenizer.json", "tokenizer_config.json").
bool has_model_json(const std::filesystem::path& model, const std::string& name);
/// That document; throws std::runtime_error when there is none, or as read_json() and gguf_model.h
/// do.
Json read_model_json(const std::filesystem::path& model, const std::string& name);
/// The weights; of a directory that another program stored in integers (packed_linears.h) with a
/// tensor NAME.weight for each linear. Throws as Safetensors::open_model(), gguf_weights() and
/// unpack_linears().
TensorStore open_model_weights(const std::filesystem::path& model);
/// True when the weights of a directory whose config has this quant_method are to be unpacked: they
/// are not `stamp quantize`'s own (which writes recipe.json).
bool has_packed_linears(const std::filesystem::path& model, const std::string& quant_method);
/// The folder that holds what is not part of the model itself (calibration.txt, heldout.txt):
/// `model`, or the one that a GGUF file lies in.
std::filesystem::path model_folder(const std::filesystem::path& model);

}  // namespace stamp
