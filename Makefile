# Two commands do everything on a machine with nothing but Go: `make run` and `make test`.

PORT           ?= 3000
READINESS_PORT ?= 8081
MODULES        := ./... ./sdk/... ./policies-examples/...
EXAMPLES       := pod-privileged safe-labels default-seccomp raw-quota trusted-repos unique-ingress-host verify-image-signatures require-attestations
GUEST_ENV      := GOOS=wasip1 GOARCH=wasm
FUZZTIME       ?= 30s

.PHONY: run
run: build examples ## start registry, signer and server on loopback with the example policies
	@build/bin/demo -port $(PORT) -readiness-port $(READINESS_PORT)

.PHONY: build
build: ## build the binaries into build/bin
	@mkdir -p build/bin
	go build -trimpath -ldflags '-s -w' -o build/bin/ ./cmd/policy-server ./cmd/policyctl ./internal/demo

.PHONY: examples
examples: $(EXAMPLES:%=build/policies/%.wasm) ## build and annotate the example policies into build/policies

build/policies/%.wasm: FORCE | build
	@mkdir -p build/guests build/policies
	$(GUEST_ENV) go build -trimpath -buildmode=c-shared -ldflags '-s -w' -o build/guests/$*.wasm ./policies-examples/$*
	@build/bin/policyctl annotate -m policies-examples/$*/metadata.yml -u policies-examples/$*/README.md -o $@ build/guests/$*.wasm

FORCE:

# The rewriter is pure and starts no goroutine; the specification's test suites take six times as long under the detector.
PURE := policy-server/runtime/wasm

.PHONY: test
test: ## run every test, with the race detector wherever there is concurrency
	go tool gotestsum --format pkgname-and-test-fails --raw-command -- \
		sh -c 'go test -json -race $$(go list $(MODULES) | grep -vx $(PURE)); race=$$?; go test -json $(PURE) && exit $$race'

.PHONY: test-cosign
test-cosign: ## test against cosign itself, which takes minutes to build
	@mkdir -p build/tools
	GOBIN=$(CURDIR)/build/tools go install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
	go test -tags cosign -run '^TestCosign' -v ./internal/e2e

.PHONY: test-real
test-real: ## verify against a private Sigstore and cosign 2 and 3 themselves; the first run builds them, about 20 minutes
	gotestsum=$$(go tool -n gotestsum) && cd internal/real && GOWORK=off $$gotestsum --format testname -- -count 1 -timeout 90m .

.PHONY: check
check: ## what CI runs: formatting, vet, lint, tidy modules, rebuilt guests, and all tests
	@unformatted=$$(git ls-files -z "*.go" | xargs -0 gofmt -l); \
		test -z "$$unformatted" || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	go vet $(MODULES)
	go vet -tags cosign ./internal/e2e
	$(GUEST_ENV) go vet ./sdk/... ./policies-examples/...
	go tool staticcheck $(MODULES)
	GOWORK=off go mod tidy -diff
	cd sdk && GOWORK=off go mod tidy -diff
	cd policies-examples && GOWORK=off go mod tidy -diff
	cd internal/real && GOWORK=off go mod tidy -diff && GOWORK=off go vet .
	GOOS=darwin go vet ./runtime/... ./registry
	GOOS=windows go vet ./runtime/... ./registry
	$(MAKE) guests
	git diff --exit-code -- runtime/testdata
	$(MAKE) test

.PHONY: guests
guests: ## assemble the tiny guests of runtime/testdata again; needs wat2wasm, of Debian's package wabt
	cd runtime/testdata && for guest in *.wat; do wat2wasm "$$guest" || exit 1; done

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file" | while read -r target; do \
			(cd "$$(dirname "$$file")" && echo "== $$(pwd): $$target" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x .) || exit 1; \
		done || exit 1; done

.PHONY: bench
bench: ## run the benchmarks; see benches/README.md
	go test -run '^$$' -bench . -benchmem ./benches

.PHONY: bench-compare
bench-compare: ## compare the benchmarks of the working tree with those of REF (default: main)
	@ref=$${REF:-main}; tree=$$(mktemp -d); trap 'git worktree remove --force "$$tree"' EXIT; \
		git worktree add --detach "$$tree" "$$ref" && \
		(cd "$$tree" && go test -run '^$$' -bench . -benchmem -count 10 ./benches) > build/bench-old.txt && \
		go test -run '^$$' -bench . -benchmem -count 10 ./benches > build/bench-new.txt && \
		go tool benchstat build/bench-old.txt build/bench-new.txt

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'
