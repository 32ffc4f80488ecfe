//go:build unix

package upstream

import (
	"syscall"
	"testing"
)

// arrived reports whether there is something to read on a connection, or its end.
func arrived(t *testing.T, c *conn) (is bool) {
	t.Helper()
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		is = err != syscall.EAGAIN
		return true
	})
	return is || err != nil
}
