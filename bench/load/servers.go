package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil" //nolint:depguard // the bare proxy is what the gateway is measured against
	"net/url"
	"strings"
	"time"
)

// serve serves on a port of its own choice, and prints its address first.
func serve(h http.Handler, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	return (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l)
}

// upstream is an MCP server as far as a load needs one: it answers every
// request with a text of about 2 KB, as JSON or as a stream.
func upstream() http.Handler {
	text := strings.Repeat(`Line of an ordinary answer, in plain words: 21.5 C is 294.65 K.\n`, 31)
	const head, tail = `,"result":{"resultType":"complete","content":[{"type":"text","text":"`, `"}],"isError":false}}`
	result := head + text
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ID json.RawMessage `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id := string(request.ID)
		answer := `{"jsonrpc":"2.0","id":` + id + result + "Call " + id + tail
		if r.Header.Get("Accept") == "text/event-stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			answer = "event: message\ndata: " + answer + "\n\n"
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		_, _ = io.WriteString(w, answer) // a client that has left is not measured
	})
}

// serveProxy serves the bare reverse proxy. Its connections to the server are
// kept, as the gateway keeps them; all else is as httputil has it.
func serveProxy(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("proxy needs the URL of its server")
	}
	target, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	return serve(proxy, out)
}
