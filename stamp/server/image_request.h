#pragma once
// Bodies of /v1/images/generations.
#include "stamp/pipelines/image.h"
#include "stamp/server/api_error.h"

namespace stamp {

/// Checks what can be checked without the pipeline's files (plan_images() does the rest). What the
/// request leaves open is as in `defaults`. Throws ApiError.
ImageOptions read_image_request(const Json& body, const std::string& model_name,
                                const ImageOptions& defaults);

}  // namespace stamp
