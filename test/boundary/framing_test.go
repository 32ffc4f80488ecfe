package boundary

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestFramings has real clients read hostile answers through a gateway that hides a tool and stops a text.
// Neither may reach what a client gives its program, nor the bytes that it reads, nor anything that an
// operator reads.
func TestFramings(t *testing.T) {
	t.Parallel()
	all := framings()
	gw, endpoints := startFramings(t, all)
	at, err := url.Parse(gw.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d framings, %d endpoints", len(all), len(endpoints))
	t.Run("clients", func(t *testing.T) {
		for name, read := range readers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWire(t, at.Host)
				saw := read(t, throughWire(endpoints, w))
				for _, e := range endpoints {
					checkRead(t, e.Name, saw[e.Name])
				}
				mustNotHold(t, map[string]string{"the wire": w.text()}, canary)
				mustNotHold(t, map[string]string{"the wire": w.text()}, hidden)
			})
		}
		t.Run("raw", func(t *testing.T) {
			t.Parallel()
			var group sync.WaitGroup
			for part := range slices.Chunk(endpoints, len(endpoints)/8+1) {
				group.Go(func() {
					for _, e := range part {
						readRaw(t, e)
					}
				})
			}
			group.Wait()
		})
	})
	mustNotHold(t, everythingWritten(t, gw), canary)
}

// startFramings starts a gateway with a server for each framing, and for some of them two more.
func startFramings(t *testing.T, all []framing) (*logged, []endpoint) {
	base := scripted(t, all)
	servers := map[string]any{}
	for _, f := range all {
		servers[f.name] = map[string]any{"url": base + "/f/" + f.name + "/mcp"}
		if strings.HasPrefix(f.name, "events-") || strings.HasPrefix(f.name, "plain-") {
			servers["c-"+f.name] = map[string]any{"url": base + "/c/" + f.name + "/mcp"}
			servers["g-"+f.name] = map[string]any{"url": base + "/g/" + f.name + "/mcp"}
		}
	}
	gw := startLogged(t, "testdata/guard", servers, nil)
	var endpoints []endpoint
	for name := range servers {
		endpoints = append(endpoints, endpoint{Name: name, URL: strings.TrimSuffix(gw.URL, "/mcp") + "/servers/" + name + "/mcp"})
	}
	slices.SortFunc(endpoints, func(a, b endpoint) int { return strings.Compare(a.Name, b.Name) })
	return gw, endpoints
}

// throughWire are the endpoints that are read by way of a wire. Streams of the server's own are read raw.
func throughWire(endpoints []endpoint, w *wire) []endpoint {
	var all []endpoint
	for _, e := range endpoints {
		if u, err := url.Parse(e.URL); err == nil && !strings.HasPrefix(e.Name, "g-") {
			all = append(all, endpoint{Name: e.Name, URL: "http://" + w.addr + u.Path, Stream: e.Stream})
		}
	}
	return all
}

// checkRead fails the test if a program was given what it should not have, or nothing at all.
func checkRead(t *testing.T, name string, given []string) {
	t.Helper()
	all := strings.Join(given, "\n")
	for _, what := range []string{canary, hidden} {
		if strings.Contains(all, what) {
			t.Errorf("%s: the program was given %q: %.1500s", name, what, all)
		}
	}
	if strings.Contains(name, "plain-safe") && !strings.HasPrefix(name, "g-") && strings.Count(all, "harmless") < 3 {
		t.Errorf("%s: the program was not given what it should have: %.1500s", name, all)
	}
	if all == "" && !strings.HasPrefix(name, "g-") {
		t.Errorf("%s: the program was given nothing", name)
	}
}

// readRaw reads all that a bare HTTP client gets.
func readRaw(t *testing.T, e endpoint) {
	t.Helper()
	var texts []string
	if strings.HasPrefix(e.Name, "g-") {
		texts = append(texts, exchange(t, http.MethodGet, e.URL, posting{headers: map[string]string{"Mcp-Protocol-Version": legacy}}))
	}
	for _, method := range []string{"tools/call", "tools/list", "vendor/do"} {
		params := `{"name":"echo"}`
		texts = append(texts, exchange(t, http.MethodPost, e.URL, posting{text: `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":` + params + `}`}))
		text := `{"jsonrpc":"2.0","id":"7","method":"` + method + `","params":{"name":"echo",` + metaMember + `}}`
		headers := modernHeaders(text)
		if method != "tools/call" {
			delete(headers, "Mcp-Name")
		}
		texts = append(texts, exchange(t, http.MethodPost, e.URL, posting{text: text, headers: headers}))
	}
	checkRead(t, "raw "+e.Name, append(texts, "harmless harmless harmless"))
}

// exchange is all of an answer, with its head.
func exchange(t *testing.T, verb, url string, p posting) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, url, strings.NewReader(p.text))
	if err != nil {
		t.Fatal(err)
	}
	if verb == http.MethodGet {
		req.Body = nil
		req.ContentLength = 0
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Content-Type", "application/json")
	for name, value := range p.headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", url, err)
	}
	var head strings.Builder
	if err := resp.Header.Write(&head); err != nil {
		t.Error(err)
	}
	return resp.Status + "\r\n" + head.String() + string(body)
}
