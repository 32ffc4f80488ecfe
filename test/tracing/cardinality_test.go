package tracing

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// mark is in every name that TestCardinality makes up.
const mark = "zqx-"

// madeUp are requests whose names come from the client: users, methods, tools,
// prompts, resources, revisions, paths, and what servers answer to that.
var madeUp = []func(name string) (path, headers, body string){
	func(name string) (string, string, string) {
		return "/mcp", "", `{"jsonrpc":"2.0","id":"` + name + `","method":"` + name + `"}`
	},
	func(name string) (string, string, string) {
		return "/mcp", "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `"}}`
	},
	func(name string) (string, string, string) {
		return "/mcp", "", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"` + name + `"}}`
	},
	func(name string) (string, string, string) {
		return "/mcp", "", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///` + name + `"}}`
	},
	func(name string) (string, string, string) {
		return "/mcp", "MCP-Protocol-Version: " + name, `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	},
	func(name string) (string, string, string) {
		return "/servers/" + strings.ToLower(name) + "/mcp", "", `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	},
	func(name string) (string, string, string) { return "/mcp", "", name },
}

// TestCardinality: the series and the names of spans are as many after ten thousand
// names as after some of each sort.
func TestCardinality(t *testing.T) {
	collector := testcollector.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"`+mark+rand.Text()+`"}}`)
	}))
	t.Cleanup(upstream.Close)
	gw := harness.StartGateway(t, harness.Options{Upstream: upstream.URL, Policy: policy(t), Change: func(config map[string]any) {
		config["identity"] = map[string]any{"trustedProxies": map[string]any{"cidrs": []string{"127.0.0.0/8"}, "userHeader": "X-Forwarded-User"}}
	}})
	base := strings.TrimSuffix(gw.URL, "/mcp")
	flood(t, base, 20*len(madeUp))
	few := series(t, gw.Admin)
	flood(t, base, 10_000)
	if many := series(t, gw.Admin); many != few || few == 0 || few > 500 {
		t.Errorf("%d series after a few names, %d after many", few, many)
	}
	gw.Stop()
	names := map[string]bool{}
	for _, s := range collector.Spans() {
		names[s.Name] = true
	}
	if len(names) == 0 || len(names) > 12 {
		t.Errorf("%d names of spans: %v", len(names), names)
	}
}

// flood sends requests by several connections, each by another user.
func flood(t *testing.T, base string, n int) {
	t.Helper()
	var all sync.WaitGroup
	const workers = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	defer client.CloseIdleConnections()
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < n; i += workers {
				path, header, body := madeUp[i%len(madeUp)](mark + rand.Text())
				if err := send(client, base+path, header, body); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func send(client *http.Client, url, header, body string) error {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-User", mark+rand.Text())
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return err
}

// series is how many of the gateway's own there are. None has a name that is made up.
func series(t *testing.T, admin string) int {
	t.Helper()
	resp, err := http.Get(admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(text)), mark) {
		t.Errorf("a client's name is in a label:\n%s", text)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "gatehouse_") || strings.HasPrefix(line, "policy_") {
			n++
		}
	}
	return n
}
