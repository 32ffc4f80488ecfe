package interop

import (
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestNothingIsLost sends many calls from Node, whose HTTP client brings out what a proxy does wrong with
// kept-alive connections: every answer has to come, with the id and the content of its call.
func TestNothingIsLost(t *testing.T) {
	const calls, concurrency = 3000, 16
	gateway := harness.StartGateway(t, harness.Options{Upstream: newServer(t, modern), Policy: "testdata/policy"})
	var report struct {
		Answered int
		Wrong    []string
	}
	node(t, &report, nil, "load.mjs", gateway.URL, strconv.Itoa(calls), strconv.Itoa(concurrency))
	if report.Answered != calls || len(report.Wrong) != 0 {
		t.Errorf("%d of %d calls answered, among the others: %q", report.Answered, calls, report.Wrong)
	}
}
