# kooperd: build, run and check. Everything is built with Go, gcc (for the race detector) and git alone; "make help"
# lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO ?= go

# Programs and linters share one set of compiled packages: pure Go, without the paths of this machine. The tests have
# another, with the race detector.
PURE = CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath -buildvcs=false"

# What "kooperd version" prints. Outside of git the program says what it knows by itself.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null)
VERSION_FLAG = $(if $(VERSION),-X kooperd.dev/kooperd/pkg/daemon.version=$(VERSION))

# Clients read the version of Kubernetes from the API server, and cannot parse that of an unstamped build.
KUBERNETES = $(shell awk '$$1 == "k8s.io/kubernetes" { print substr($$2, 2) }' devcluster/go.mod)
KUBERNETES_FLAGS = $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version, \
	-X $(package).gitVersion=v$(KUBERNETES) -X $(package).gitTreeState=clean \
	-X $(package).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES))) \
	-X $(package).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES))))

# What Helm 3 renders for when it is not told: the version of Kubernetes that it is built with. Helm 4 finds it by itself.
HELM3_MINOR = $(shell awk '$$1 == "k8s.io/client-go" { split($$2, version, "."); print version[2] }' tools/chart/go.mod)
HELM3_FLAGS = $(foreach package,pkg/chartutil pkg/lint/rules, \
	-X helm.sh/helm/v3/$(package).k8sVersionMajor=1 -X helm.sh/helm/v3/$(package).k8sVersionMinor=$(HELM3_MINOR))

# Every Go module of the repository, and those with code to check.
MODULES := . $(patsubst %/go.mod,%,$(sort $(shell find . -mindepth 2 -name go.mod -not -path '*/.*/*' -not -path '*/testdata/*')))
CODE_MODULES := $(filter-out ./tools ./tools/%,$(MODULES))

##@ Use

.PHONY: help
help: ## Print this.
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[^\t#:]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: bin/kooperd ## Build bin/kooperd.

.PHONY: bin/kooperd
bin/kooperd:
	$(PURE) $(GO) build -ldflags '$(VERSION_FLAG)' -o $@ ./cmd/kooperd

# Linking a whole control plane takes long even when nothing has changed, so this one is built by its files.
bin/devcluster: $(shell find devcluster -name '*.go' -not -name '*_test.go') devcluster/go.mod devcluster/go.sum ## Build the development cluster (minutes, the first time).
	cd devcluster && $(PURE) $(GO) build -ldflags '-s -w $(KUBERNETES_FLAGS)' -o ../$@ .

.PHONY: run
run: bin/kooperd bin/devcluster ## Run kooperd on two examples, on $$KUBECONFIG or else a devcluster. ARGS=-v=2, CONFIG=FILE.
	@exec scripts/run $(ARGS)

.PHONY: clean
clean: ## Remove what was built, and the cluster of "make run".
	rm -rf bin dist .devcluster

##@ Release

# What is released is bin/kooperd without symbols and debugging information: a third less, and panics and profiles keep their
# names.
RELEASES := $(addprefix dist/kooperd-linux-,amd64 arm64)

.PHONY: release $(RELEASES)
release: $(RELEASES) ## Build the programs to release, dist/kooperd-linux-amd64 and -arm64.
$(RELEASES): dist/kooperd-linux-%:
	$(PURE) GOOS=linux GOARCH=$* GOAMD64=v1 GOARM64=v8.0 $(GO) build -ldflags '-s -w $(VERSION_FLAG)' -o $@ ./cmd/kooperd

.PHONY: dist/kooperd-image.tar
dist/kooperd-image.tar: release
	scripts/image $(VERSION)

.PHONY: image
image: dist/kooperd-image.tar bin/devcluster ## Build the image, dist/kooperd-image*.tar, and run it where there is Docker.
	@status=0; scripts/image-test smoke || status=$$?; \
	case $$status in 77) echo 'the image has been built, but not run' ;; *) exit $$status ;; esac

.PHONY: image-test
image-test: bin/devcluster ## Run the image that "make image" has built: restrictions, failover. Needs Docker.
	scripts/image-test

.PHONY: release-check
release-check: ## Build programs and image twice, apart from each other, and compare. Takes minutes.
	scripts/release-check

##@ Check

# A control plane with the race detector would take minutes to build and be too slow to show anything. What counts bytes
# runs once more without the race detector, which takes several times as much. So do the suites that look at programs from
# outside (scripts/test-suites). Vetting is part of "make verify".
.PHONY: test
test: bin/kooperd bin/devcluster bin/helm3 bin/helm4 bin/kubeconform ## Run all tests, those of packages with the race detector.
	@status=0; \
	run() { printf '+ cd %s && %s\n' "$$1" "$${*:2}"; (cd "$$1" && "$${@:2}") || status=1; }; \
	run . $(GO) test -vet=off -race $(TESTFLAGS) ./...; \
	run . env $(PURE) $(GO) test -vet=off -run '^(TestLoadMemory$$|TestCgroupIsNotFilled$$|TestChild|TestComposeMemory$$)' $(TESTFLAGS) ./pkg/config ./pkg/daemon ./pkg/handlers/apply; \
	GO=$(GO) scripts/test-suites $(TESTFLAGS) || status=1; \
	run test/bench $(GO) test -vet=off -race $(TESTFLAGS) ./...; \
	run devcluster env $(PURE) $(GO) test -vet=off -ldflags '-s -w $(KUBERNETES_FLAGS)' $(TESTFLAGS) ./...; \
	exit $$status

.PHONY: verify
verify: lint tidy-check generate-check ## Check style, go.mod files and generated files.

# To staticcheck, devcluster is all of Kubernetes: 3 GB of memory and most of the time, for one small package.
LINT_FLAGS_./devcluster = --disable staticcheck

# go vet runs as one of the linters, with more of its analyzers.
.PHONY: lint $(addprefix lint-,$(CODE_MODULES))
lint: $(addprefix lint-,$(CODE_MODULES)) ## Run the linters and format checks in every module.
$(addprefix lint-,$(CODE_MODULES)): lint-%: bin/golangci-lint
	cd $* && $(PURE) $(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yaml $(LINT_FLAGS_$*) ./...

.PHONY: tidy-check $(addprefix tidy-check-,$(MODULES))
tidy-check: $(addprefix tidy-check-,$(MODULES)) ## Check that every go.mod and go.sum is tidy.
$(addprefix tidy-check-,$(MODULES)): tidy-check-%:
	cd $* && $(GO) mod tidy -diff

.PHONY: generate-check
generate-check: ## Check that generated files are those that "make generate" makes.
	@scripts/check-unchanged $(MAKE) generate

# Packages with checks that make test leaves out, because they are slow or depend on the speed of the
# machine.
CONFORMANCE_PACKAGES = ./chart ./compose ./election ./examples ./failover ./page ./reload

# The documentation has no such checks: all of it is followed each time, here with the race detector.
.PHONY: conformance
conformance: bin/kooperd bin/devcluster bin/helm3 bin/helm4 bin/kubeconform bin/prometheus bin/promtool ## Run the slow checks too: every case of the election, of failover, of a reload, of children, of the examples, of the chart and of the alerts, held to its limits.
	@status=0; \
	run() { printf '+ cd test && %s\n' "$$*"; (cd test && "$$@") || status=1; }; \
	run $(GO) test -vet=off -race -count=1 -p 1 -timeout 90m $(TESTFLAGS) ./docs; \
	run $(GO) test -vet=off -race -count=1 -p 1 -timeout 90m $(TESTFLAGS) $(CONFORMANCE_PACKAGES) -conformance; \
	exit $$status

.PHONY: pictures
pictures: ## Make the pictures of the status page in docs/images anew, in Chromium.
	./scripts/chromium
	cd test && $(GO) test ./page -count=1 -run '^TestPictures$$' -args -page.images=$(CURDIR)/docs/images

.PHONY: microbench
microbench: ## Run the benchmarks of single packages: BENCH=regexp, BENCHFLAGS=-count=10.
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem $(BENCHFLAGS) ./...

.PHONY: bench
bench: bin/devcluster ## Measure kooperd beside controller-runtime and client-go: BENCHFLAGS="-rows=start,idle-1-kind -quick".
	cd test/bench && $(GO) run . $(BENCHFLAGS)

# Without the race detector, which would make the machine slower than what it measures.
.PHONY: failover
failover: bin/devcluster ## Measure failover, for some 20 minutes, and write the figures into docs/failover.md.
	cd test && $(GO) test -count=1 -timeout 90m -v ./failover -failover.full -failover.doc $(CURDIR)/docs/failover.md

.PHONY: chaos
chaos: bin/devcluster ## Run replicas through random faults: DURATION=12h, SEED=n to repeat a round.
	cd test && $(GO) test -race -count=1 -timeout 0 -v -run '^TestChaos$$' ./failover \
		-failover.chaos $(or $(DURATION),10m) -failover.seed $(or $(SEED),$(shell date +%s))

##@ Change

.PHONY: fmt
fmt: bin/golangci-lint ## Format all Go code.
	@for module in $(CODE_MODULES); do \
		(cd $$module && $(CURDIR)/bin/golangci-lint fmt --config $(CURDIR)/.golangci.yaml ./...); \
	done

.PHONY: generate
generate: ## Write the generated files anew.
	$(PURE) $(GO) generate ./...
	cd test && $(PURE) $(GO) generate ./chart

.PHONY: tidy
tidy: ## Tidy every go.mod.
	@for module in $(MODULES); do (cd $$module && $(GO) mod tidy); done

bin/golangci-lint: tools/go.mod tools/go.sum
	cd tools && $(PURE) $(GO) build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# What the tests of the chart need.
bin/helm3 bin/helm4 bin/kubeconform: tools/chart/go.mod tools/chart/go.sum
	cd tools/chart && $(PURE) $(GO) build -ldflags '-s -w $(FLAGS_$@)' -o ../../$@ $(PACKAGE_$@)
PACKAGE_bin/helm3 = helm.sh/helm/v3/cmd/helm
PACKAGE_bin/helm4 = helm.sh/helm/v4/cmd/helm
PACKAGE_bin/kubeconform = github.com/yannh/kubeconform/cmd/kubeconform
FLAGS_bin/helm3 = $(HELM3_FLAGS)

# A real Prometheus for the tests of the alerts, without the clouds that it could find its targets in, which would take most of
# the time.
bin/prometheus bin/promtool: tools/prometheus/go.mod tools/prometheus/go.sum
	cd tools/prometheus && $(PURE) $(GO) build -tags remove_all_sd -ldflags '-s -w' -o ../../$@ github.com/prometheus/prometheus/cmd/$(@F)
