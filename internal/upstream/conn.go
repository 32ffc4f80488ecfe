package upstream

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// A conn is a connection of a [Direct], used by one exchange at a time.
type conn struct {
	net.Conn
	raw   syscall.RawConn
	of    *Direct
	host  string // by which it is idle
	r     *bufio.Reader
	w     *bufio.Writer
	left  int64     // bytes that may still be read, give or take what r holds
	since time.Time // it has been idle
}

func (d *Direct) dial(ctx context.Context, to *url.URL) (*conn, error) {
	address := net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), "80"))
	nc, err := d.rest.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	c := &conn{Conn: nc, raw: raw, of: d, host: to.Host, w: bufio.NewWriter(nc)}
	c.r = bufio.NewReader(c)
	return c, nil
}

// exchange writes a request and reads the head of its answer.
func (c *conn) exchange(r *http.Request, by *http.Transport) (*http.Response, error) {
	_ = c.SetDeadline(time.Now().Add(by.ResponseHeaderTimeout)) // an error is also that of the write
	if err := r.Write(c.w); err != nil {
		return nil, err
	}
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	c.left = by.MaxResponseHeaderBytes
	if _, err := c.r.Peek(1); err != nil { // a plain EOF, where nothing came at all
		return nil, err
	}
	for {
		resp, err := http.ReadResponse(c.r, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue // the answer is still to come
		}
		c.left = math.MaxInt64
		return resp, c.SetDeadline(time.Time{})
	}
}

var errLongHead = errors.New("the head of the answer is too long")

// Read is how r reads.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongHead
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	return n, err
}

// cut closes the connection: whoever reads from it or writes to it gets an error.
func (c *conn) cut() { _ = c.Close() }
