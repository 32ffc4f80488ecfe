package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func optionsOf(t *testing.T, args ...string) *options {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "centre; 1 connection; 256 connections; 64 KiB; 1024 KiB; SSE; `alert.read`; centre"},
		{[]string{"-rate", "0", "-tools", "t", "-answers", "JSON", "-sizes", "1"}, "centre; 1 connection; 256 connections"},
		{
			[]string{"-all", "-rate", "0", "-tools", "t", "-answers", "JSON,SSE", "-sizes", "1,2", "-connections", "16"},
			"centre; 2 KiB; SSE; SSE, 2 KiB",
		},
	} {
		o := optionsOf(t, test.args...)
		var names []string
		for _, s := range o.scenarios() {
			names = append(names, s.name(o.centre()))
		}
		if got := strings.Join(names, "; "); got != test.want {
			t.Errorf("%v: got %s, want %s", test.args, got, test.want)
		}
	}
}

// canned is a report of two rounds: the gateway takes four times the CPU
// time of the bare proxy in one, and three times in the other.
func canned(o *options) *report {
	r := &report{centre: o.centre(), peers: []*peer{{name: "no proxy"}, {name: bare}, {name: "gatehouse, enforce", mode: "enforce"}}}
	for _, s := range o.scenarios() {
		results := make([]result, len(r.peers))
		for round := range 2 {
			for n := range results {
				cpu := time.Duration(n*(n+round)) * time.Millisecond
				results[n].add(taken{sample: sample{times: []time.Duration{1, 2}, total: 1}, cpu: cpu, allocs: 8})
			}
		}
		r.outcomes = append(r.outcomes, outcomes{s, results})
	}
	return r
}

func TestBounds(t *testing.T) {
	if _, err := parse([]string{"-bound", "enforce=2"}); err == nil {
		t.Error("a bound of one number")
	}
	for bound, fails := range map[string]bool{"enforce=3.4,9": true, "enforce=3.6,9": false, "enforce=3.6,3": true, "of=9,9": true} {
		o := optionsOf(t, "-bound", bound)
		if err := canned(o).check(o.bounds); (err != nil) != fails {
			t.Errorf("%s: %v", bound, err)
		}
	}
}

func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	o := optionsOf(t, "-docs", dir)
	r := canned(o)
	r.peers = r.peers[:2] // whose memory nobody asks the kernel for
	for _, text := range []string{"", begins, ends + begins} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.write(o, io.Discard); err == nil {
			t.Errorf("written into %q", text)
		}
	}
	if err := os.WriteFile(page, []byte("a\n"+begins+"old\n"+ends+"z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.write(o, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	raw, _ := os.ReadFile(page)
	text := string(raw)
	if strings.Contains(text, "old") || !strings.HasPrefix(text, "a\n"+begins) || !strings.HasSuffix(text, ends+"z\n") ||
		strings.Count(text, "| 64 KiB | 750 |") != 1 {
		t.Error(text)
	}
}

func TestPlotIsXML(t *testing.T) {
	o := optionsOf(t)
	circles := 0
	for d := xml.NewDecoder(strings.NewReader(canned(o).plot())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 1+7 {
		t.Errorf("%d circles, of the legend and of seven scenarios", circles)
	}
}
