package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A client sends tool calls over connections that it keeps.
type client struct {
	http    *http.Client
	workers int
	tool    string
	header  http.Header
}

// message is a call with its id, the tool, and an argument. No two calls of a
// round are alike, so that nothing gains by remembering one.
const message = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{` +
	`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"agent","version":"3.1"},` +
	`"io.modelcontextprotocol/clientCapabilities":{}},` +
	`"name":"%s","arguments":{"temp":%d.5,"from":"celsius","to":"kelvin"}}}`

func newClient(workers int, tool, answer string) *client {
	accept := "application/json, text/event-stream"
	if answer == "SSE" {
		accept = "text/event-stream"
	}
	return &client{
		http:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}},
		workers: workers,
		tool:    tool,
		header: http.Header{
			"Accept": {accept}, "Accept-Language": {"en-GB,en;q=0.8"}, "Authorization": {"Bearer " + apiKey},
			"Content-Type": {"application/json"}, "User-Agent": {"agent/3.1 (linux; x64)"},
			"Traceparent":  {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			"X-Request-Id": {"6dd2b7b4-1c1e-4f62-9f0e-0a4f1f7f1b3a"},
			"Mcp-Method":   {"tools/call"}, "Mcp-Name": {tool}, "Mcp-Protocol-Version": {"2026-07-28"},
		},
	}
}

// A sample is what a number of requests took.
type sample struct {
	times []time.Duration // of single requests, in order of length
	total time.Duration
}

// send sends n requests, and returns the first error of any.
func (c *client) send(url string, n int) (sample, error) {
	s := sample{times: make([]time.Duration, n)}
	start := time.Now()
	var group sync.WaitGroup
	errs := make([]error, c.workers)
	for w := range c.workers {
		group.Go(func() {
			for i := w; i < n && errs[w] == nil; i += c.workers {
				begin := time.Now()
				errs[w] = c.call(url+"/mcp", i)
				s.times[i] = time.Since(begin)
			}
		})
	}
	group.Wait()
	s.total = time.Since(start)
	slices.Sort(s.times)
	for _, err := range errs {
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// call makes one call, and makes sure that its answer is the server's.
func (c *client) call(url string, id int) error {
	text := fmt.Sprintf(message, id, c.tool, id%10000)
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		return err
	}
	r.Header = c.header
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"isError":false`))) {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, body)
	}
	return err
}
