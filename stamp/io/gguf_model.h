#pragma once
// A language model in one GGUF file, told in the terms of a Hugging Face directory: JSON documents
// and names of tensors. Architectures "llama" and "qwen2".
#include "stamp/io/gguf.h"
#include "stamp/io/tensor_store.h"

namespace stamp {

/// What config.json would say: sizes, RoPE (scaling "linear" and "yarn", the factors of a tensor
/// rope_freqs.weight as that of Llama 3), biases, tied embeddings, BOS and EOS. Throws
/// std::runtime_error naming file, key and value for another architecture, missing sizes, experts,
/// sliding windows, RoPE of a part of each head and other kinds of scaling.
Json gguf_config(const Gguf& file);

/// What tokenizer.json would say, for vocabularies of kind "gpt2" (byte-level BPE) whose
/// pre-tokenizer is known. Throws std::runtime_error naming what is unsupported.
Json gguf_tokenizer(const Gguf& file);

/// What tokenizer_config.json would say: special tokens, chat template.
Json gguf_tokenizer_config(const Gguf& file);

/// The weights under the names of a Hugging Face directory. They stay where the file mapped them,
/// except that the rows of q and k of the architecture "llama", which GGUF reorders, are put back
/// in a copy (of the same type). Throws std::runtime_error for tensors that no directory has.
TensorStore gguf_weights(const Gguf& file);

}  // namespace stamp
