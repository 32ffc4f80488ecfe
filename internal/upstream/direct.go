package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// Direct carries requests over plain HTTP/1.1 in the goroutine of their caller,
// where [http.Transport] hands each to other goroutines and back. For both, net/http
// writes the request and frames the answer. What Direct does not carry (TLS, proxies,
// long requests) it leaves to the transport by whose settings it goes. Many
// goroutines may use it at once.
type Direct struct {
	rest *http.Transport
	mu   sync.Mutex
	idle map[string][]*conn // by the URL's host; the last one was used last
	tend *time.Timer        // nil while none is idle
}

// NewDirect returns a Direct that goes by these settings.
func NewDirect(t *http.Transport) *Direct { return &Direct{rest: t, idle: map[string][]*conn{}} }

const (
	// maxShort is how long a request may be to surely fit into the buffers of a
	// connection: no server keeps Direct from reading an answer by not reading.
	maxShort = 16 << 10
	tendTime = 10 * time.Second // between looks at the connections that are idle
)

// RoundTrip implements [http.RoundTripper]. No request is sent twice.
func (d *Direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if !d.carries(r) {
		return d.rest.RoundTrip(r)
	}
	ctx := r.Context()
	c, err := d.connect(ctx, r.URL)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, endOf(ctx, err)
	}
	b := &body{c: c, ctx: ctx, stop: context.AfterFunc(ctx, c.cut)}
	resp, err := c.exchange(r, d.rest)
	if err != nil {
		b.end(false)
		return nil, endOf(ctx, err)
	}
	b.ReadCloser = resp.Body
	b.reusable = !resp.Close && resp.StatusCode >= http.StatusOK
	if resp.Body == http.NoBody {
		b.end(true)
	} else {
		resp.Body = b
	}
	return resp, nil
}

func (d *Direct) carries(r *http.Request) bool {
	isASCII := !strings.ContainsFunc(r.URL.Host, func(c rune) bool { return c > unicode.MaxASCII })
	if !canLook || r.URL.Scheme != "http" || !isASCII || r.ContentLength < 0 || r.ContentLength > maxShort {
		return false
	}
	proxy, err := d.rest.Proxy(r)
	return proxy == nil && err == nil
}

// endOf is the error of an exchange: that of its context if it has ended.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// connect returns an idle connection, or a new one.
func (d *Direct) connect(ctx context.Context, to *url.URL) (*conn, error) {
	for {
		c := d.take(to.Host)
		if c == nil {
			return d.dial(ctx, to)
		}
		if c.isQuiet() {
			return c, nil
		}
		c.cut()
	}
}

func (d *Direct) take(host string) *conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	idle := d.idle[host]
	if len(idle) == 0 {
		return nil
	}
	c := idle[len(idle)-1]
	idle[len(idle)-1] = nil
	d.idle[host] = idle[:len(idle)-1]
	return c
}

// keep makes a connection idle.
func (d *Direct) keep(c *conn) {
	c.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle[c.host]) >= d.rest.MaxIdleConnsPerHost {
		c.cut()
		return
	}
	d.idle[c.host] = append(d.idle[c.host], c)
	if d.tend == nil {
		d.tend = time.AfterFunc(tendTime, d.closeStale)
	}
}

// closeStale closes idle connections that were not used for long, or that their
// server has closed.
func (d *Direct) closeStale() { d.closeIdle(time.Now().Add(-d.rest.IdleConnTimeout)) }

// CloseIdleConnections is what [http.Client] looks for.
func (d *Direct) CloseIdleConnections() {
	d.closeIdle(time.Now())
	d.rest.CloseIdleConnections()
}

// closeIdle closes what has been idle since then, or is not quiet.
func (d *Direct) closeIdle(since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for host, idle := range d.idle {
		idle = slices.DeleteFunc(idle, func(c *conn) bool {
			stale := !c.since.After(since) || !c.isQuiet()
			if stale {
				c.cut()
			}
			return stale
		})
		d.idle[host] = idle
		if len(idle) == 0 {
			delete(d.idle, host)
		}
	}
	switch {
	case d.tend == nil:
	case len(d.idle) > 0:
		d.tend.Reset(tendTime)
	default:
		d.tend.Stop()
		d.tend = nil
	}
}

// A body is that of an answer. At its end its connection is idle, or closed.
type body struct {
	io.ReadCloser // of net/http
	c             *conn
	ctx           context.Context
	stop          func() bool // cutting the connection with the context; false: it is cut
	reusable      bool
	ended         atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(true)
	default:
		b.end(false)
		err = endOf(b.ctx, err)
	}
	return n, err
}

// Close gives up the rest of the answer, and so the connection.
func (b *body) Close() error {
	b.end(false)
	return nil
}

// end is called when the answer has been read, wholly or as far as it could be.
func (b *body) end(wholly bool) {
	switch {
	case !b.ended.CompareAndSwap(false, true):
	case b.stop() && wholly && b.reusable && b.c.r.Buffered() == 0:
		b.c.of.keep(b.c)
	default:
		b.c.cut()
	}
}
