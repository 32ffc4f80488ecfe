package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A client sends the tool calls of a scenario over connections that it keeps.
type client struct {
	scenario
	http   *http.Client
	header http.Header
	ids    atomic.Int64
}

// message is a call with its id, the tool, and arguments. No two calls of a
// round are alike, so that nothing gains by remembering one.
const message = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{` +
	`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"agent","version":"3.1"},` +
	`"io.modelcontextprotocol/clientCapabilities":{}},` +
	`"name":"%s","arguments":{"temp":%d.5,"from":"celsius","to":"kelvin","kib":%d}}}`

func newClient(s scenario) *client {
	accept := "application/json, text/event-stream"
	if s.answer == "SSE" {
		accept = "text/event-stream"
	}
	return &client{
		scenario: s,
		http:     &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}},
		header: http.Header{
			"Accept": {accept}, "Accept-Language": {"en-GB,en;q=0.8"}, "Authorization": {"Bearer " + apiKey},
			"Content-Type": {"application/json"}, "User-Agent": {"agent/3.1 (linux; x64)"},
			"Traceparent":  {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			"X-Request-Id": {"6dd2b7b4-1c1e-4f62-9f0e-0a4f1f7f1b3a"},
			"Mcp-Method":   {"tools/call"}, "Mcp-Name": {s.tool}, "Mcp-Protocol-Version": {"2026-07-28"},
		},
	}
}

// A sample is what a number of requests took.
type sample struct {
	times []time.Duration // of single requests, in order of length
	total time.Duration
}

// send sends requests for that long, and returns the first error of any.
func (c *client) send(url string, slot time.Duration) (sample, error) {
	if c.rate > 0 {
		return c.open(url, slot)
	}
	return c.closed(url, slot)
}

// closed sends the next request of a connection when the last was answered.
func (c *client) closed(url string, slot time.Duration) (sample, error) {
	times, errs := make([][]time.Duration, c.workers), make([]error, c.workers)
	start := time.Now()
	var group sync.WaitGroup
	for w := range c.workers {
		group.Go(func() {
			for begin := start; errs[w] == nil; {
				errs[w] = c.call(url)
				now := time.Now()
				times[w] = append(times[w], now.Sub(begin))
				if begin = now; now.Sub(start) >= slot {
					return
				}
			}
		})
	}
	group.Wait()
	return newSample(slices.Concat(times...), time.Since(start), errs)
}

// open sends a request whenever one is due, whatever became of those before. Its
// time counts from when it was due. A slot is three times as long, so that it has
// requests enough to tell a p99.
func (c *client) open(url string, slot time.Duration) (sample, error) {
	n := int(3 * slot.Seconds() * float64(c.rate))
	times, errs := make([]time.Duration, n), make([]error, n)
	start := time.Now()
	var group sync.WaitGroup
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(c.rate))
		<-time.After(time.Until(due))
		group.Go(func() {
			errs[i] = c.call(url)
			times[i] = time.Since(due)
		})
	}
	group.Wait()
	return newSample(times, time.Since(start), errs)
}

func newSample(times []time.Duration, total time.Duration, errs []error) (sample, error) {
	slices.Sort(times)
	for _, err := range errs {
		if err != nil {
			return sample{}, err
		}
	}
	return sample{times, total}, nil
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// call makes one call, and makes sure that its answer is the server's.
func (c *client) call(url string) error {
	r, err := c.request(url)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	_, err = body.ReadFrom(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || body.Len() < c.size<<10 || !bytes.Contains(body.Bytes(), []byte(`"isError":false`))) {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, body)
	}
	return err
}

func (c *client) request(url string) (*http.Request, error) {
	id := c.ids.Add(1)
	text := fmt.Sprintf(message, id, c.tool, id%10000, c.size)
	r, err := http.NewRequest(http.MethodPost, url+"/mcp", strings.NewReader(text))
	if err == nil {
		r.Header = c.header
	}
	return r, err
}
