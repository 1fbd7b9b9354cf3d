#pragma once

#include "drawing.hpp"
#include "planes.hpp"

namespace onestep {

/// POST /v1/images/generations, in the shape of the OpenAI images API; the prompt is a label:
/// https://platform.openai.com/docs/api-reference/images/create
void answer_openai_images(const http::Request& request, http::Response& response, const ServedModels& models,
                          const ServerOptions& options, Drawing& drawing, Planes& planes);

}  // namespace onestep
