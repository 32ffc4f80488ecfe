//go:build !race

package bench

import (
	"flag"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// Allocations do not depend on how busy a machine is, so these numbers are
// exact: what makes one grow says why. The race detector has allocations of its own.
func TestAllocations(t *testing.T) {
	if err := flag.Set("test.benchtime", "10000x"); err != nil { // of fewer runs the first ones tell
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		most int64
		run  func(*testing.B)
	}{
		{"a call that keeps its bounds", 5, func(b *testing.B) { decide(b, starter(b), call(b), true) }},
		{"a call that is denied", 223, func(b *testing.B) {
			in := call(b)
			in.Tool = &policy.Tool{Name: "database.backup"}
			decide(b, starter(b), in, true)
		}},
		{"a call that is evaluated", 250, func(b *testing.B) { decide(b, starter(b), evaluated(b), true) }},
		{"a clean result", 2, func(b *testing.B) {
			in := call(b)
			in.Phase, in.Response = policy.Response, result(b, 64<<10)
			in.Begin()
			decide(b, starter(b), in, false)
		}},
		{"the path, off", 21, func(b *testing.B) { pathOf(b, gateway.Off, "temp.convert") }},
		{"the path, enforce", 32, func(b *testing.B) { pathOf(b, gateway.Enforce, "temp.convert") }},
	} {
		r := testing.Benchmark(test.run)
		if r.N == 0 || r.AllocsPerOp() > test.most {
			t.Errorf("%s: %d allocations in each of %d runs, want at most %d", test.name, r.AllocsPerOp(), r.N, test.most)
		}
	}
}
