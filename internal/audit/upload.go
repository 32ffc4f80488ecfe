package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// send uploads a chunk, again and again until the service has it, has refused
// it for good, or the context ends.
func (d *DecisionLogs) send(ctx context.Context, chunk [][]byte) {
	size := 0
	for _, event := range chunk {
		size += len(event)
	}
	defer d.waiting.Add(-int64(size))
	body := pack(chunk)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, d.cfg.Max) {
		again, err := d.post(ctx, body)
		if err == nil {
			d.uploaded.Add(float64(len(chunk)))
			if d.failing {
				d.cfg.Log.Info("decision logs are uploaded again")
			}
			d.failing = false
			return
		}
		d.failed.Inc()
		if !d.failing {
			d.cfg.Log.Error("decision logs not uploaded", "error", err)
		}
		d.failing = true
		if again {
			again = sleep(ctx, pause/2+rand.N(pause/2))
		}
		if !again {
			d.dropped.Add(float64(len(chunk)))
			d.cfg.Log.Error("decision logs dropped", "events", len(chunk), "error", err)
			return
		}
	}
}

// pack is a chunk as OPA sends it: an array, compressed.
func pack(chunk [][]byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // a level there is, and writing to memory does not fail
	_, _ = z.Write([]byte("["))
	for i, event := range chunk {
		if i > 0 {
			_, _ = z.Write([]byte(","))
		}
		_, _ = z.Write(event)
	}
	_, _ = z.Write([]byte("]"))
	_ = z.Close()
	return b.Bytes()
}

// post uploads once. again says whether another try may go better.
func (d *DecisionLogs) post(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.cfg.URL.JoinPath("logs").String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	resp, err := d.cfg.Client.Do(r)
	if err != nil {
		var full *url.Error
		if errors.As(err, &full) {
			err = full.Err // without the URL, whose query may hold a secret
		}
		return true, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection serves again
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
	default:
		again = true
	}
	return again, fmt.Errorf("the service answered %s", resp.Status)
}

// sleep waits, and reports whether the context has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
