package upstream

import "sync"

// An inbox is what waits for the reader of a call, in the order in which it came. One
// goroutine writes it, and one reads it.
type inbox struct {
	mu     sync.Mutex
	texts  []string
	weight int   // of texts
	end    error // what is read after texts, once nothing more comes

	more chan struct{} // has a value when there is something new to be read
	room chan struct{} // has a value when something was taken, or nothing more comes
}

// Bounds on what waits in an inbox. Even a small message takes some room.
const (
	maxInbox = 4 << 20 // bytes; a longer message fits where there is no other
	overhead = 512
)

func newInbox() *inbox {
	return &inbox{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put adds a message, and reports whether there was room. An inbox to which nothing
// more comes has room for everything, and loses it.
func (b *inbox) put(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	weight := len(text) + overhead
	switch {
	case b.end != nil:
		return true
	case len(b.texts) > 0 && b.weight+weight > maxInbox:
		return false
	}
	b.texts, b.weight = append(b.texts, text), b.weight+weight
	nudge(b.more)
	return true
}

// close lets nothing more come but these last messages, for which there is always
// room. The first end counts.
func (b *inbox) close(end error, last ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil {
		return
	}
	b.texts, b.end = append(b.texts, last...), end
	nudge(b.more)
	nudge(b.room)
}

// drop is close for a reader who wants nothing of it any more.
func (b *inbox) drop(end error) {
	b.close(end)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = nil
}

// take takes the next message, or tells the end. Neither: nothing has come yet.
func (b *inbox) take() (text string, end error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.texts) == 0 {
		return "", b.end
	}
	text = b.texts[0]
	b.texts, b.weight = b.texts[1:], b.weight-len(text)-overhead
	nudge(b.room)
	return text, nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
