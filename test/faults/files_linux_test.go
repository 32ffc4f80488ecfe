package faults

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The file descriptors are used up for a while by clients that say nothing.
func TestFileDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, enforce)
	s.start(t)
	if err := unix.Prlimit(s.gw.Pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 48, Max: 48}, nil); err != nil {
		t.Fatal(err)
	}
	var idle []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", s.address(), time.Second)
		if err != nil {
			break
		}
		idle = append(idle, c)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	s.checkAlive(t, 0)
	s.told(t, inForce)
}
