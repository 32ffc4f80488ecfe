package interop

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestTasks has the TypeScript client run a task of the reference server, which asks the user something in
// its midst. The client gets the outcome, judged as a result of the tool, and never the server's own id.
func TestTasks(t *testing.T) {
	gateway := harness.StartGateway(t, harness.Options{Upstream: referenceServer(t), Policy: "testdata/policy"})
	var seen struct {
		ID, Text, Error, Stolen string
		States, Asked           []string
	}
	node(t, &seen, nil, "tasks.mjs", gateway.URL)
	if seen.Error != "" || !slices.Contains(seen.States, "input_required") || len(seen.Asked) != 1 {
		t.Errorf("states %q, asked %q, error %q", seen.States, seen.Asked, seen.Error)
	}
	if !strings.Contains(seen.Text, "**Clarification**: technical") || !strings.Contains(seen.Text, "S********") {
		t.Errorf("result %q", seen.Text)
	}
	const ownID = 32 // characters of an id that the server gives
	if len(seen.ID) <= ownID || !strings.Contains(seen.Stolen, "unknown task") {
		t.Errorf("id %q; asked about another task: %s", seen.ID, seen.Stolen)
	}
}
