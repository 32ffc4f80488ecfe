package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil" //nolint:depguard // the bare proxy is what the gateway is measured against
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// loopback is an address whose port the kernel chooses.
const loopback = "127.0.0.1:0"

// serve serves, and prints its address first.
func serve(address string, h http.Handler, out io.Writer) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	return (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l)
}

const (
	line   = `Line of an ordinary answer, in plain words: 21.5 C is 294.65 K.\n`
	head   = `,"result":{"resultType":"complete","content":[{"type":"text","text":"`
	tail   = `"}],"isError":false}}`
	secret = `A token: ghp_16C7e42F292c6912E7710c838347Ae178B4a.\n`
)

// upstream is an MCP server as far as a load needs one: it answers every call
// with a text of as many KiB as the call says, as JSON or as a stream. That of
// secret.read holds a secret.
func upstream() http.Handler {
	filler := strings.Repeat(line, 1<<20/len(line)+1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage `json:"id"`
			Params struct {
				Name      string `json:"name"`
				Arguments struct {
					KiB int `json:"kib"`
				} `json:"arguments"`
			} `json:"params"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		parts := []string{`{"jsonrpc":"2.0","id":`, string(call.ID), head}
		if call.Params.Name == "secret.read" {
			parts = append(parts, secret)
		}
		lines := min(call.Params.Arguments.KiB<<10/len(line)+1, len(filler)/len(line))
		parts = append(parts, filler[:lines*len(line)], "Call ", string(call.ID), tail)
		respond(w, parts, r.Header.Get("Accept") == "text/event-stream")
	})
}

func respond(w http.ResponseWriter, parts []string, stream bool) {
	if stream {
		w.Header().Set("Content-Type", "text/event-stream")
		parts = append(append([]string{"event: message\ndata: "}, parts...), "\n\n")
	} else {
		length := 0
		for _, part := range parts {
			length += len(part)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	for _, part := range parts {
		_, _ = io.WriteString(w, part) // a client that has left is not measured
	}
}

// newProxy is the bare reverse proxy. Its connections to the server are kept, as
// the gateway keeps them; all else is as httputil has it.
func newProxy(server string) (*httputil.ReverseProxy, error) {
	target, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = keeping()
	return proxy, nil
}

// keeping is a transport that keeps as many connections as a load may have.
func keeping() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return transport
}

func serveProxy(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("proxy needs the URL of its server")
	}
	proxy, err := newProxy(args[0])
	if err != nil {
		return err
	}
	return serve(loopback, measured(buffered(proxy)), out)
}

// buffered reads a request before the proxy has it. A body that is still read when
// the answer comes makes httputil.ReverseProxy close the connection to the server,
// and a long answer is lost.
func buffered(proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, max(r.ContentLength, 0))
		if _, err := io.ReadFull(r.Body, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
}

// measured adds what tells of allocations, as the gateway has it.
func measured(h http.Handler) http.Handler {
	metrics := promhttp.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
