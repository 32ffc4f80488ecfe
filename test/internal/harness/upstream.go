package harness

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
)

// StartServer starts an MCP server that has to be told its port, and returns the URL of its endpoint once
// it answers. A port that another process takes in between is given up for the next one.
func StartServer(t testing.TB, command func(port string) *exec.Cmd) string {
	t.Helper()
	var err error
	for range 5 {
		port := freePort(t)
		p := Start(t, command(port))
		url := fmt.Sprintf("http://127.0.0.1:%s/mcp", port)
		if err = p.await("an answer", func() bool { return answers(url, 0) }); err == nil && !p.ended() {
			return url
		}
		p.Stop()
	}
	t.Fatal(err)
	return ""
}

// ended reports whether the child has ended: then it was another process that answered.
func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// freePort is a port that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
