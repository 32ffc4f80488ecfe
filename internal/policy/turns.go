package policy

import (
	"bytes"
	"time"
)

// A bundle of 50 MB is loaded beside requests that must not wait for it.
const (
	// turn is how many bytes are unpacked or decoded, in two milliseconds or so,
	// before others have their turn.
	turn = 128 << 10
	// maxPiece is how many bytes are copied or hashed in one step, which nothing
	// can break off: when the collector wants all to stand still, all waits for it.
	maxPiece = 1 << 20
)

// rest gives up the processor until it is of no use to others. It sleeps, since
// runtime.Gosched goes on at once where nothing else is known to be ready, and Go
// looks for what has come from the network only where a processor has nothing to
// do, or every ten milliseconds.
func rest() { <-time.After(100 * time.Microsecond) }

// chunks are what was written.
type chunks struct {
	all   [][]byte
	total int
}

// Write implements io.Writer.
func (c *chunks) Write(b []byte) (int, error) {
	c.all = append(c.all, bytes.Clone(b))
	if before := c.total; before/turn < (before+len(b))/turn {
		rest()
	}
	c.total += len(b)
	return len(b), nil
}

func (c *chunks) join() []byte {
	text := make([]byte, 0, c.total)
	for _, chunk := range c.all {
		if before := len(text); before/maxPiece < (before+len(chunk))/maxPiece {
			rest()
		}
		text = append(text, chunk...)
	}
	return text
}
