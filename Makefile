# Needs Go, Node with npm, git and curl. All other tools are built into .tools/, each at the version named here, but for
# those that are linked or unpacked from Debian's packages.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: demo build dist image size test tool check check-go check-policies check-chart check-deploy bench bench-load bench-k6 \
	bench-smoke conformance fuzz soak clean force

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The race detector needs a C compiler; go says 0 here where there is none.
RACE     := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
FUZZTIME ?= 5m
FUZZ     ?= ^Fuzz
# What stands between a client's bytes and a server's: the parser of JSON and that of messages, the SSE splitter, the
# header check and the round trip; and slower ones: patches, redaction, who gets what of a server that many share, and
# the answers on its connections.
BOUNDARY := ^Fuzz(ParseValue|ParseClient|EventReader|CheckHeaders|With)$$
SLOWER   := ^Fuzz(ApplyPatch|Near|Route|Direct)$$
BENCH    ?= .
COUNT    ?= 6

# Tools, each installed by its rule at the end of this file.
TOOLS         := $(CURDIR)/.tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-v2.15.0
GOFUMPT       := $(TOOLS)/gofumpt-v0.12.0
BENCHSTAT     := $(TOOLS)/benchstat-v0.0.0-20260908200009-22c9c6c9d4da
ACTIONLINT    := $(TOOLS)/actionlint-v1.7.12
CYCLONEDX     := $(TOOLS)/cyclonedx-gomod-v1.10.0
CRANE         := $(TOOLS)/crane-v0.22.1
OPA           := $(TOOLS)/opa-v1.22.2
REGISTRY      := $(TOOLS)/registry-v3.1.2
NGINX         := $(TOOLS)/nginx
HELM          := $(TOOLS)/helm-v4.3.1
K6            := $(TOOLS)/k6-v1.8.1
PROMETHEUS    := $(TOOLS)/prometheus
PROMTOOL      := $(TOOLS)/promtool
SYSTEMD       := $(TOOLS)/systemd-analyze

demo: build
	@bin/gatehouse demo

LDFLAGS := -s -w -X main.version=$(VERSION)

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/gatehouse ./cmd/gatehouse

# What a release has: a binary for each platform with its bill of materials, the image, and the digests of all. It is
# the same byte for byte wherever the same Go builds the same commit, but for the bills, which name the tool that wrote them.
DIST      ?= dist
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
BINARIES  := $(foreach p,$(PLATFORMS),$(DIST)/gatehouse-$(subst /,-,$(p))$(if $(filter windows/%,$(p)),.exe))
IMAGED    := $(filter linux/%,$(PLATFORMS))

dist: image $(BINARIES) $(CYCLONEDX)
	for binary in $(BINARIES); do \
		$(CYCLONEDX) bin -json -noserial -version $(VERSION) "$$binary" | sed '/^    "timestamp": /d' > "$$binary.cdx.json"; done
	cd $(DIST) && sha256sum gatehouse-* > SHA256SUMS

# The image as an OCI archive, made without an engine. The Dockerfile makes the same one with an engine.
image: $(foreach p,$(IMAGED),$(DIST)/gatehouse-$(subst /,-,$(p)))
	go run ./deploy/image -o $(DIST)/gatehouse-image.tar -version $(VERSION) -time $$(git log -1 --format=%ct 2> /dev/null || echo 0) \
		$(foreach p,$(IMAGED),$(p)=$(DIST)/gatehouse-$(subst /,-,$(p)))

$(DIST)/gatehouse-%: force
	p=$*; p=$${p%.exe}; GOOS=$${p%-*} GOARCH=$${p#*-} GOAMD64=v1 GOARM64=v8.0 GOFLAGS= CGO_ENABLED=0 \
		go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $@ ./cmd/gatehouse

force:

# The suites in test/ build the binary themselves, which go's cache of results does not see: -count=1. What they
# drive is that binary, in which no race is looked for. Fuzz tests go by a number of runs, as they can fail at the end
# of a time (golang/go#75804, mended in Go 1.27).
test: check
	$(if $(RACE),,@echo 'make: no C compiler, so the tests run without the race detector')
	go test $(RACE) -count=1 $$(go list ./... | grep -v /test/)
	go test -count=1 ./test/...
	@$(MAKE) --no-print-directory fuzz FUZZTIME=200000x FUZZ='$(BOUNDARY)'
	@$(MAKE) --no-print-directory fuzz FUZZTIME=20000x FUZZ='$(SLOWER)'

# Everything that can be said about the code without running it, and the tests of the policies.
check: check-go check-policies check-chart check-deploy

# Suites in test/ need these.
test: $(OPA) $(REGISTRY) $(NGINX) $(HELM) $(CRANE) $(CYCLONEDX) $(PROMETHEUS) $(PROMTOOL)

# Installs one of these for a test that needs it, and prints its path: make tool TOOL=REGISTRY
tool: $($(TOOL))
	@echo $($(TOOL))

check-go: $(GOFUMPT) $(GOLANGCI_LINT)
	@unformatted=$$($(GOFUMPT) -l .); if [ -n "$$unformatted" ]; then \
		printf 'not formatted (gofumpt -w .):\n%s\n' "$$unformatted"; exit 1; fi
	go vet ./...
	$(GOLANGCI_LINT) run ./...
	go mod tidy -diff

check-policies: build
	bin/gatehouse policy fmt --list --fail policies
	bin/gatehouse policy check policies
	bin/gatehouse policy test --coverage --threshold 100 policies

check-chart: $(HELM)
	$(HELM) lint --strict --quiet --values examples/kubernetes.yaml helm/gatehouse

check-deploy: $(ACTIONLINT) $(PROMTOOL)
	$(ACTIONLINT) -shellcheck= -pyflakes=
	$(PROMTOOL) check rules --lint-fatal deploy/prometheus/alerts.yml
	$(PROMTOOL) test rules deploy/prometheus/alerts_test.yml

# BENCH chooses the benchmarks. A .bench/old.txt, copied from an earlier .bench/new.txt, is compared with.
bench: $(BENCHSTAT)
	@mkdir -p .bench
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee .bench/new.txt
	$(BENCHSTAT) $(wildcard .bench/old.txt) .bench/new.txt

# The gateway beside a bare reverse proxy, nginx, and a proxy that asks an OPA, on the same server. The tables and
# the plot go into docs/. LOAD has more flags.
bench-load: $(NGINX) $(OPA)
	go run ./bench/load -nginx $(NGINX) -opa $(OPA) -docs docs $(LOAD)

# RATE tool calls in a second to one gateway on this machine, for DURATION; see bench/k6/calls.js.
bench-k6: export RATE ?= 1000
bench-k6: export DURATION ?= 30s
bench-k6: $(K6)
	go run ./bench/load with $(K6) run --no-usage-report --quiet bench/k6/calls.js

# Guards against regressions by what a busy machine does not change: numbers of allocations, and CPU time as a
# multiple of the bare proxy's in the same rounds, with a margin.
SMOKE := go run ./bench/load -gatehouse bin/gatehouse -modes off,enforce -connections 16 -rate 0 -time 400ms
bench-smoke: build
	go test -count=1 -run '^TestAllocations$$' ./bench
	$(SMOKE) -sizes 1 -bound off=1.3,130 -bound enforce=1.6,140
	$(SMOKE) -sizes 64 -tools temp.convert -answers JSON -bound off=2.2,130 -bound enforce=3.2,140

# What each module puts into the binary, in MB: its own code and data, and its share of the stripped file.
size:
	@full=$$(mktemp -d); trap 'rm -rf "$$full"' EXIT; CGO_ENABLED=0 go build -trimpath -o "$$full/gatehouse" ./cmd/gatehouse; \
	$(MAKE) --no-print-directory -s build; \
	awk -v FILE="$$(wc -c < bin/gatehouse)" -f bench/size.awk \
		<(go list -deps -f '{{.ImportPath}} {{with .Module}}{{.Path}}{{else}}std{{end}}' ./cmd/gatehouse) \
		<(go tool nm -size "$$full/gatehouse") | sort -t'|' -k4 -rn

# The MCP conformance suite, against the gateway with a server behind it.
conformance:
	go test -tags conformance ./test/conformance -v -count=1

# Each fuzz test that FUZZ names for FUZZTIME, one after the other.
fuzz:
	@go test -list '$(FUZZ)' ./... | awk '/^Fuzz/ {names[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print $$2, names[i]; n = 0}' | \
	while read -r package name; do \
		echo "$$package $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" < /dev/null; \
	done

# Calls, denials, aborts and reloads for SOAK, and a look for what grows. make test has a short one.
soak: export SOAK ?= 20m
soak:
	go test -timeout 2h -count=1 -v ./test/soak

clean:
	rm -rf bin dist .bench

# install puts a tool, built from a pinned module, at the versioned path of its rule.
install = @echo 'install $(notdir $@)'; bin=$$(mktemp -d); trap 'rm -rf "$$bin"' EXIT; \
	GOBIN=$$bin GOFLAGS= go install $(1)@$(2); mkdir -p $(TOOLS); mv "$$bin"/* $@

$(TOOLS)/golangci-lint-%:
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$*)
$(TOOLS)/gofumpt-%:
	$(call install,mvdan.cc/gofumpt,$*)
$(TOOLS)/opa-%:
	$(call install,github.com/open-policy-agent/opa,$*)
$(TOOLS)/helm-%:
	$(call install,helm.sh/helm/v4/cmd/helm,$*)
$(TOOLS)/k6-%:
	$(call install,go.k6.io/k6,$*)
$(TOOLS)/benchstat-%:
	$(call install,golang.org/x/perf/cmd/benchstat,$*)

# The registry, built from a module of its own, without the storage of a dozen clouds.
$(REGISTRY): $(wildcard test/bundles/registry/*)
	@echo 'install $(notdir $@)'; mkdir -p $(TOOLS); cd test/bundles/registry && go build -o $@ .

$(TOOLS)/actionlint-%:
	$(call install,github.com/rhysd/actionlint/cmd/actionlint,$*)
$(TOOLS)/crane-%:
	$(call install,github.com/google/go-containerregistry/cmd/crane,$*)
$(TOOLS)/cyclonedx-gomod-%:
	$(call install,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod,$*)

# debian links a command that is there, or unpacks it from Debian's package: that needs no root.
debian = @echo 'install $(notdir $@)'; mkdir -p $(TOOLS); if found=$$(command -v $(notdir $@)); then ln -s "$$found" $@; exit; fi; \
	unpacked=$$(mktemp -d); trap 'rm -rf "$$unpacked"' EXIT; cd "$$unpacked"; \
	apt-get download $(1) > /dev/null 2>&1 || { apt-get update > /dev/null; apt-get download $(1) > /dev/null; }; \
	dpkg -x $(1)_*.deb .; mv $(2)/$(notdir $@) $@
$(NGINX):
	$(call debian,nginx,usr/sbin)
$(PROMETHEUS) $(PROMTOOL):
	$(call debian,prometheus,usr/bin)
$(SYSTEMD):
	@mkdir -p $(TOOLS); found=$$(command -v systemd-analyze) || { echo 'systemd-analyze is not there: it comes with systemd'; exit 1; }; \
	ln -s "$$found" $@
