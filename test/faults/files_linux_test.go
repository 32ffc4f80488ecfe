package faults

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFileDescriptorsUsedUp(t *testing.T) {
	s := newServer(t, nil)
	gw := start(t, s, nil)
	if err := unix.Prlimit(gw.Pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 48, Max: 48}, nil); err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(strings.TrimSuffix(gw.URL, "/mcp"), "http://")
	var idle []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", at, time.Second)
		if err != nil {
			break
		}
		idle = append(idle, c)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	gw.Await(t, "the gateway to answer again", func() bool {
		c := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Post(gw.URL, "application/json", strings.NewReader(ping))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
