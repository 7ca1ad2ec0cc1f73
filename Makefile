# The front door. `make demo` and `make test` do everything that a fresh Debian 12 machine needs.
BUILD ?= build
JOBS ?= $(shell nproc)
RUNS ?= 100000
LAUNCHER := $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

.PHONY: help demo test test-python test-server wheel deb test-package test-arm asan tsan fuzz build bench peers deps check clean
help:
	@echo "make demo   install what is missing, build, compare recipes on the bundled models -> report.html, report-images.html"
	@echo "make test   install what is missing, build, run all tests"
	@echo "make test-python  build the Python module, run its tests (needs pip)"
	@echo "make test-server  run the server under malformed and slow traffic, the openai client, schemathesis (pip)"
	@echo "make wheel  build the Python package with its libraries bundled -> dist/"
	@echo "make deb    build the Debian package -> dist/"
	@echo "make test-package  build it, use program and library from an empty folder"
	@echo "make test-arm  cross-compile the kernels for 64-bit ARM, run their tests under qemu"
	@echo "make asan   build and run all tests, or those of LAYERS='io text', under the address and undefined-behaviour sanitizers"
	@echo "make tsan   the same under the thread sanitizer (clang)"
	@echo "make fuzz   build the fuzzers and run each with RUNS=$(RUNS) inputs, or TARGET=json (clang)"
	@echo "make build  only build: the program is $(BUILD)/stamp"
	@echo "make bench  build and run the micro benchmarks"
	@echo "make peers  build and compare speed with llama.cpp, OpenVINO and PyTorch (installed outside the tree)"
	@echo "make check  layer and format checks"

deps:
	@tools/install_deps.sh

build:
	@echo "== building with $(JOBS) jobs into $(BUILD)/"
	@cmake -S . -B $(BUILD) -G Ninja $(LAUNCHER) > $(BUILD).log 2>&1 || { cat $(BUILD).log; echo "make: configuring failed; 'make deps' installs what is missing"; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

demo: deps build
	@echo "== comparing recipes on the bundled language model (simulated quantization)"
	@$(BUILD)/stamp compare demo/llm --preset demo --out report.html
	@echo "== comparing recipes on the bundled image pipeline"
	@$(BUILD)/stamp compare demo/image --preset demo --out report-images.html
	@echo "== open report.html and report-images.html in a browser"

test: deps build
	@echo "== running all tests"
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

test-python: deps
	@tools/test_python.sh $(BUILD)

test-server: deps build
	@tools/test_server.sh $(BUILD)

wheel: deps
	@tools/make_wheel.sh

deb: deps build
	@cd $(BUILD) && cpack -G DEB > cpack.log || { cat cpack.log; exit 1; }
	@mkdir -p dist && cp $(BUILD)/stamp_*.deb dist/ && ls -l dist/*.deb

test-package: deps build
	@tools/test_package.sh $(BUILD)

test-arm:
	@tools/install_deps.sh arm
	@tools/test_arm.sh $(BUILD)-arm

asan tsan:
	@tools/install_deps.sh $@
	@cmake --preset $@ $(LAUNCHER) > build-$@.log 2>&1 || { cat build-$@.log; exit 1; }
	@rm -f build-$@.log
	@cmake --build build-$@ -j $(JOBS) $(if $(LAYERS),--target $(LAYERS:%=test_%))
	@ctest --preset $@ -j $(JOBS) $(if $(LAYERS),--no-tests=error -L "^($$(echo $(LAYERS) | tr ' ' '|'))$$")

fuzz:
	@tools/install_deps.sh $@
	@cmake --preset $@ $(LAUNCHER) > build-$@.log 2>&1 || { cat build-$@.log; exit 1; }
	@rm -f build-$@.log
	@cmake --build build-$@ -j $(JOBS) --target $(if $(TARGET),fuzz_$(TARGET),fuzz)
	@tools/fuzz.sh build-$@ $(RUNS) $(TARGET)

bench: deps build
	@cmake --build $(BUILD) --target kernels_bench integer_bench quant_bench attention_bench
	@$(BUILD)/kernels_bench && $(BUILD)/integer_bench && $(BUILD)/quant_bench && $(BUILD)/attention_bench

peers: deps build
	@python3 bench/peers/run.py --stamp $(BUILD)/stamp

check:
	@python3 tools/check_layers.py
	@tools/check_format.sh

clean:
	rm -rf $(BUILD)
