package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// What a decision costs as that grows which it is not about. A denial is
// evaluated each time, and so is the first call of a user; known is a further one.
func growth(b *testing.B, s *policy.Snapshot) {
	b.Helper()
	b.Run("known", func(b *testing.B) { decide(b, s, call(b), true) })
	b.Run("denied", func(b *testing.B) {
		in := call(b)
		in.Tool = &policy.Tool{Name: "database.backup"}
		decide(b, s, in, true)
	})
	b.Run("first", func(b *testing.B) {
		in, times := call(b), newSamples()
		b.ReportAllocs()
		for b.Loop() {
			in.User.ID = stranger()
			start := time.Now()
			in.Begin()
			if d := s.Decide(&in); !d.Allow {
				b.Fatal(d)
			}
			times.since(start)
		}
		times.report(b)
	})
}

func BenchmarkRoles(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			growth(b, engineOf(b, starterDir(b, func(data map[string]any) {
				roles := data["roles"].(map[string]any)
				for len(roles) < n {
					roles[fmt.Sprint("role-", len(roles))] = roles["dev"]
				}
			})).Pin())
		})
	}
}

func BenchmarkTools(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			growth(b, engineOf(b, starterDir(b, func(data map[string]any) {
				tools := map[string]any{"temp.convert": true}
				bounds := data["arguments"].(map[string]any)["*"].(map[string]any)
				for len(tools) < n {
					name := toolName(len(tools))
					tools[name], bounds[name] = true, bounds["echo"]
				}
				data["roles"].(map[string]any)[role] = map[string]any{"tools": map[string]any{"*": tools}}
			})).Pin())
		})
	}
}

// BenchmarkFiles adds files that each bound another tool in Rego of their own.
func BenchmarkFiles(b *testing.B) {
	for _, n := range []int{1, 10, 50, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := starterDir(b, nil)
			for i := range n {
				text := fmt.Sprintf("package mcp\n\ndeny contains {\"reason\": \"too_long\"} if {\n\tinput.phase == \"request\"\n"+
					"\tinput.tool.name == \"tool.of_file_%d\"\n\tcount(input.tool.args.text) > 1000\n}\n", i)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("own_%d.rego", i)), []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			growth(b, engineOf(b, dir).Pin())
		})
	}
}
