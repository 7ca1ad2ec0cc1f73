#pragma once
#include "stamp/pipelines/verify_checks.h"

namespace stamp {

/// DIR/ckpt is a CLIP directory; DIR/oracle.safetensors holds embeddings of texts and pixels,
/// pictures with what becomes of them and with their scores for the prompts in DIR/run.json,
/// DIR/cases.json strings and ids (tools/make_clip_oracles.py).
void verify_clip(const std::filesystem::path& directory, VerifyCase& result);

}  // namespace stamp
