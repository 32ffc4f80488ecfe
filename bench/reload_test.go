package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"
)

// BenchmarkReload loads a bundle anew while another process asks for a decision
// every millisecond. It reports how long the decisions took from there, and the
// longest time that the collector stopped everything. Still is the same without a
// reload. A rule looks up a row by its name, or hands on the table, which is then
// all terms.
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
	in, late := call(b), make(chan *samples)
	caller, asked := startCaller(b)
	go func() {
		s := newSamples()
		for asked.Scan() {
			in.Begin()
			if d := engine.Pin().Decide(&in); !d.Allow {
				b.Error(d)
			}
			at, err := strconv.ParseInt(asked.Text(), 10, 64)
			if err != nil {
				b.Error(err)
			}
			s.since(time.Unix(0, at))
		}
		late <- s
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
	_ = caller.Process.Kill()
	s := <-late
	_ = caller.Wait() // killed
	b.ReportMetric(s.at(500), "p50-late-µs")
	b.ReportMetric(s.at(990), "p99-late-µs")
	b.ReportMetric(float64(s.times[len(s.times)-1])/1e6, "max-late-ms")
	b.ReportMetric(longest(before, stops())*1e3, "max-stop-ms")
}

// ask has this test binary be the caller of BenchmarkReload. It is no timer of the
// same process: Go looks at none while the collector has a processor that nothing
// else wants, but does look at what comes from outside.
const ask = "GATEHOUSE_BENCH_ASK"

func startCaller(b *testing.B) (*exec.Cmd, *bufio.Scanner) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	caller := exec.Command(self)
	caller.Env = append(os.Environ(), ask+"=1")
	out, err := caller.StdoutPipe()
	if err == nil {
		err = caller.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	return caller, bufio.NewScanner(out)
}

// askForever writes down the time every millisecond, until nobody reads it.
func askForever() {
	for range time.Tick(time.Millisecond) {
		if _, err := fmt.Println(time.Now().UnixNano()); err != nil {
			return
		}
	}
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
