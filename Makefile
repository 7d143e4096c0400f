# Short commands for people; nothing here decides anything.
GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
FUZZ    ?= 20s
# The database drivers of smallstep/nosql that nothing here uses: 5 MB less.
TAGS    ?= nobadger,nobbolt,nomysql,nopgx

.PHONY: run build test check fuzz bench

run: build
	bin/sallyport run

build:
	$(GO) build -tags $(TAGS) -trimpath -o bin/sallyport ./cmd/sallyport

# What is not to be fast is compiled without the profile: by it everything below
# cmd/sallyport would be compiled a second time.
PLAIN   := -tags $(TAGS) -pgo=off

# Go's own limit, ten minutes for a package, is less than the scripts take on a small machine.
test:
	$(GO) test $(PLAIN) -race -timeout 35m ./...

check:
	$(GO) vet $(PLAIN) ./...
	GOFLAGS="$$($(GO) env GOFLAGS) -pgo=off" $(TOOL) staticcheck -tags $(TAGS) ./...
	@out=$$($(TOOL) gofumpt -l cmd certs gateway pki policy scripts tunnel); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	@out=$$(grep -rnE '^(<{7}|>{7}) ' *.md docs cmd certs gateway pki policy scripts tunnel); test -z "$$out" || { echo "left over from a merge:"; echo "$$out"; exit 1; }
	$(GO) test $(PLAIN) -count=1 -run 'TestPlan|TestGenerated' ./cmd/sallyport
	$(GO) mod tidy -diff
	$(GO) mod verify

fuzz:
	scripts/fuzz $(FUZZ)

bench:
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...
