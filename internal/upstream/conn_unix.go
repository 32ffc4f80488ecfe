//go:build unix

package upstream

import (
	"errors"
	"syscall"
)

// canLook reports whether isQuiet can tell.
const canLook = true

// isQuiet reports whether an idle connection is open and nothing came on it: what
// comes between two exchanges must not be the answer to the second. It does not wait.
func (c *conn) isQuiet() bool {
	var quiet bool
	err := c.raw.Read(func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), make([]byte, 1))
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
