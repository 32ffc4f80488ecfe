package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
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

// BenchmarkReload loads a bundle anew while a caller wants a decision every
// millisecond. It reports how late the decisions were, and the longest time that
// the collector stopped everything. Still is the same without a reload. A rule
// looks up a row by its name, or hands on the table, which is then all terms.
func BenchmarkReload(b *testing.B) {
	const named, handed = `data.table[input.user.id].open == false`, `object.get(data.table, input.user.id, {}).open == false`
	b.Run("still", func(b *testing.B) { reload(b, 0, named) })
	for _, size := range []int{10 << 10, 1 << 20, 10 << 20, 50 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) { reload(b, size, named) })
	}
	b.Run("51200KB-terms", func(b *testing.B) { reload(b, 50<<20, handed) })
}

func reload(b *testing.B, size int, rule string) {
	b.Helper()
	dir := starterDir(b, func(data map[string]any) { data["table"] = table(b, size) })
	module := fmt.Sprintf("package mcp\n\ndeny contains {\"reason\": \"closed\"} if %s\n", rule)
	if err := os.WriteFile(filepath.Join(dir, "own.rego"), []byte(module), 0o600); err != nil {
		b.Fatal(err)
	}
	engine := engineOf(b, dir)
	stop, late := make(chan struct{}), make(chan *samples)
	in := call(b)
	go func() {
		s := newSamples()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case due := <-tick.C:
				in.Begin()
				if d := engine.Pin().Decide(&in); !d.Allow {
					b.Error(d)
				}
				s.times = append(s.times, time.Since(due))
			case <-stop:
				late <- s
				return
			}
		}
	}()
	before := stops()
	for n := 0; b.Loop(); n++ {
		if size == 0 {
			<-time.After(time.Second)
			continue
		}
		revision := fmt.Sprintf(`{"revision": "%d"}`, n)
		if err := os.WriteFile(filepath.Join(dir, ".manifest"), []byte(revision), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := engine.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	close(stop)
	s := <-late
	b.ReportMetric(s.at(500), "p50-late-µs")
	b.ReportMetric(s.at(990), "p99-late-µs")
	b.ReportMetric(float64(s.times[len(s.times)-1])/1e6, "max-late-ms")
	b.ReportMetric(longest(before, stops())*1e3, "max-stop-ms")
}

// stops are the times for which the collector stopped everything, so far.
func stops() *metrics.Float64Histogram {
	m := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(m)
	return m[0].Value.Float64Histogram()
}

// longest is the longest stop between two readings, in seconds.
func longest(before, after *metrics.Float64Histogram) float64 {
	for n := len(after.Counts) - 1; n >= 0; n-- {
		if after.Counts[n] > before.Counts[n] {
			return after.Buckets[n+1]
		}
	}
	return 0
}

// table is data of about that many bytes: rows that each say something else.
func table(b *testing.B, size int) map[string]any {
	b.Helper()
	row := func(n int) map[string]any {
		return map[string]any{"owner": fmt.Sprintf("user-%06d@org", n), "tags": []string{"a", "b"}, "limit": float64(n) + 0.5, "open": n%2 == 0}
	}
	raw, err := json.Marshal(row(100000))
	if err != nil {
		b.Fatal(err)
	}
	rows := map[string]any{}
	for n := range size / (len(raw) + len(`"row-000000":,`)) {
		rows[fmt.Sprintf("row-%06d", n)] = row(n)
	}
	return rows
}
