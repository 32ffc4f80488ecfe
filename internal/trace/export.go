package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A sender posts spans to a collector. The exporter around it is OpenTelemetry's;
// its own client over HTTP is not used because gRPC comes with it, which weighs
// 6 MB and more than a hundred packages.
type sender struct {
	c       *Config
	client  *http.Client
	agent   string
	life    context.Context
	closing chan struct{} // closed once there is no time left to try again
}

// Start implements otlptrace.Client.
func (*sender) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (s *sender) Stop(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}

const (
	firstWait   = time.Second // before the second attempt; then twice as long each
	longestWait = 10 * time.Second
	maxAnswer   = 64 << 10 // bytes of an answer that are read, to use the connection again
)

// UploadTraces implements otlptrace.Client. What the collector had no time for it
// tries again until the context ends.
func (s *sender) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	// On the wire, this is an ExportTraceServiceRequest.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	if s.c.Gzip {
		body = compress(body)
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		after, err := s.post(ctx, body)
		var later *unavailable
		if !errors.As(err, &later) {
			return err
		}
		select {
		case <-time.After(max(wait, after)):
		case <-s.closing:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// unavailable is a failure that may not last.
type unavailable struct{ error }

// post makes one attempt, and tells how long the collector wants to be left alone.
func (s *sender) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.c.Endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, withoutURL(err)
	}
	maps.Copy(r.Header, s.c.Header)
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", s.agent)
	if s.c.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, &unavailable{withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	err = fmt.Errorf("the collector answered %d", resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
		return time.Duration(seconds) * time.Second, &unavailable{err}
	}
	if resp.StatusCode/100 == 2 {
		err = nil
	}
	return 0, err
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// withoutURL is an error of HTTP as it may be logged: the URL may hold a secret.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
