// Package boundary attacks the two invariants of Gatehouse on a real process: nothing executes that was not
// judged, and nothing is read that was not. What goes in is hostile messages, hostile HTTP and random
// mutations, with real MCP servers behind taps; what comes back is hostile framings, with real MCP clients
// in front. What several decoders make of the bytes at either end is compared with the decision record.
//
// The servers, clients and decoders that are not Go are Node scripts in node and a Python script beside it.
package boundary

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// patience is for what must happen but may take its time on a busy machine.
const patience = time.Minute

func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		os.Exit(child(kind))
	}
	os.Exit(harness.Run(m))
}

// A record is one line of the audit log.
type record struct {
	Phase    string `json:"phase"`
	Kind     string `json:"kind"`
	Tool     string `json:"tool"`
	Resource string `json:"resource"`
	Prompt   string `json:"prompt"`
	Outcome  string `json:"outcome"`
	Message  string `json:"message"`
	Input    struct {
		Params any `json:"params"`
	} `json:"input"`
}

// A journal is an audit log that is read on as it grows.
type journal struct {
	file *os.File
	half []byte // of a line that was being written
}

func openJournal(t testing.TB, gw *harness.Gateway) *journal {
	t.Helper()
	f, err := os.Open(gw.Audit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &journal{file: f}
}

// next returns what was recorded since it was last asked.
func (j *journal) next(t testing.TB) []record {
	t.Helper()
	text, err := io.ReadAll(j.file)
	if err != nil {
		t.Fatal(err)
	}
	var all []record
	text = append(j.half, text...)
	end := bytes.LastIndexByte(text, '\n') + 1
	j.half = text[end:]
	for line := range bytes.Lines(text[:end]) {
		var r record
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("audit: %v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// ofRequests are the records of what clients sent.
func ofRequests(all []record) []record {
	var some []record
	for _, r := range all {
		if r.Phase == "request" {
			some = append(some, r)
		}
	}
	return some
}

// everythingWritten is all that a gateway has told an operator: log, decision records and metrics.
func everythingWritten(t testing.TB, gw *logged) map[string]string {
	t.Helper()
	records, err := os.ReadFile(gw.Audit)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(gw.log)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(gw.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"audit": string(records), "metrics": string(metrics), "log": string(log)}
}

// mustNotHold fails the test for each line of the texts that holds the canary.
func mustNotHold(t testing.TB, texts map[string]string, canary string) {
	t.Helper()
	for where, text := range texts {
		for line := range strings.Lines(text) {
			if i := strings.Index(line, canary); i >= 0 {
				t.Errorf("%s holds the canary %q", where, line[max(0, i-300):min(len(line), i+120)])
			}
		}
	}
}
