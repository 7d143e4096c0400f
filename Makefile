# Short commands for people; nothing here decides anything.
GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
FUZZ    ?= 20s

.PHONY: run build test check fuzz bench

run: build
	bin/sallyport run

build:
	$(GO) build -trimpath -o bin/sallyport ./cmd/sallyport

test:
	$(GO) test -race ./...

check:
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) gofumpt -l cmd certs gateway policy scripts tunnel); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) test -count=1 -run 'TestPlan|TestGenerated' ./cmd/sallyport
	$(GO) mod tidy -diff
	$(GO) mod verify

fuzz:
	scripts/fuzz $(FUZZ)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
