# One program per reader of files, tests/fuzz/TARGET_fuzz.cc. With STAMP_FUZZ (preset fuzz, clang) it is a fuzzer,
# fuzz_TARGET; else replay_TARGET, which runs on the seeds and regressions of that target as the test fuzz.TARGET.

# stamp_fuzz(TARGET LAYER MAX_BYTES FOLDERS...): the target uses the library of that layer; fuzzers try inputs of up to
# MAX_BYTES. FOLDERS: further seeds, beside tests/fuzz/seeds/TARGET.
function(stamp_fuzz target layer max_bytes)
  set(folder ${CMAKE_SOURCE_DIR}/tests/fuzz)
  set(source ${folder}/${target}_fuzz.cc)
  if(STAMP_FUZZ)
    add_executable(fuzz_${target} ${source})
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${target} PRIVATE stamp_${layer})
    add_dependencies(fuzz fuzz_${target})
    file(APPEND ${CMAKE_BINARY_DIR}/fuzz_targets.txt "${target} ${max_bytes} ${ARGN}\n")
    return()
  endif()
  add_executable(replay_${target} ${source} ${folder}/replay.cc)
  target_link_libraries(replay_${target} PRIVATE stamp_${layer} stamp_io)
  add_test(NAME fuzz.${target}
           COMMAND replay_${target} tests/fuzz/seeds/${target} tests/fuzz/regressions/${target} ${ARGN}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(fuzz.${target} PROPERTIES TIMEOUT ${STAMP_TEST_SECONDS} LABELS ${layer})
  add_dependencies(test_${layer} replay_${target})
endfunction()

if(STAMP_FUZZ)
  add_custom_target(fuzz)
  file(WRITE ${CMAKE_BINARY_DIR}/fuzz_targets.txt "")  # what tools/fuzz.sh runs
endif()
stamp_fuzz(json io 256)
stamp_fuzz(safetensors io 512)
stamp_fuzz(shard_index io 256)
stamp_fuzz(gguf io 1280)
stamp_fuzz(packed_linears io 1024)
stamp_fuzz(png io 512)
stamp_fuzz(llm_config io 768)
stamp_fuzz(scheduler_config diffusion 512)
stamp_fuzz(recipe quant 2048)
stamp_fuzz(tokenizer text 1024)
stamp_fuzz(tokenizer_config text 512)
stamp_fuzz(sentencepiece text 512)
stamp_fuzz(clip_vocabulary text 512)
stamp_fuzz(chat_template text 512 tests/data/chat)
stamp_fuzz(calibration models 640)
stamp_fuzz(text_encoder models 2048)
stamp_fuzz(image_config pipelines 640)
stamp_fuzz(task pipelines 384)
stamp_fuzz(completion_request server 384)
stamp_fuzz(image_request server 256)
